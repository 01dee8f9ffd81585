import java.util.ArrayList;
import java.util.BitSet;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Which kinds of faults occurred together in a schedule, for all triples and pairs of kinds. {@link Fault#LARGE_GROUP} does not count: it is
 * too slow to be combined with everything.
 */
final class Combinations {

    /** Kinds that are combined, and the number of bits that tells them apart. */
    private static final List<Fault> KINDS = List.copyOf(EnumSet.complementOf(EnumSet.of(Fault.LARGE_GROUP)));
    private static final int BITS = 6;
    private static final int POINTS = 1 << BITS;

    private final BitSet triples = new BitSet(POINTS * POINTS * POINTS);
    private final int[] pairs = new int[POINTS * POINTS];

    /** A schedule had these faults, as {@link Fault#ordinal bits}. */
    void note(long faults) {
        int[] kinds = new int[Long.bitCount(faults)];
        for (int i = 0; i < kinds.length; i++) {
            kinds[i] = Long.numberOfTrailingZeros(faults);
            faults &= faults - 1;
        }
        for (int a = 0; a < kinds.length; a++) {
            for (int b = a + 1; b < kinds.length; b++) {
                pairs[kinds[a] * POINTS + kinds[b]]++;
                for (int c = b + 1; c < kinds.length; c++) {
                    triples.set((kinds[a] * POINTS + kinds[b]) * POINTS + kinds[c]);
                }
            }
        }
    }

    void add(Combinations other) {
        triples.or(other.triples);
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] += other.pairs[i];
        }
    }

    /** Triples that did not occur. */
    List<Set<Fault>> missingTriples() {
        List<Set<Fault>> missing = new ArrayList<>();
        for (int a = 0; a < KINDS.size(); a++) {
            for (int b = a + 1; b < KINDS.size(); b++) {
                for (int c = b + 1; c < KINDS.size(); c++) {
                    Set<Fault> triple = EnumSet.of(KINDS.get(a), KINDS.get(b), KINDS.get(c));
                    if (!triples.get(index(triple))) {
                        missing.add(triple);
                    }
                }
            }
        }
        return missing;
    }

    private static int index(Set<Fault> faults) {
        int index = 0;
        for (Fault fault : faults) {
            index = index * POINTS + fault.ordinal();
        }
        return index;
    }

    /** Pairs that occurred less often than that. */
    List<Set<Fault>> pairsBelow(int count) {
        List<Set<Fault>> rare = new ArrayList<>();
        for (Fault one : KINDS) {
            for (Fault other : KINDS) {
                if (one.ordinal() < other.ordinal() && pairs[index(EnumSet.of(one, other))] < count) {
                    rare.add(EnumSet.of(one, other));
                }
            }
        }
        return rare;
    }

    static long numberOfTriples() {
        long kinds = KINDS.size();
        return kinds * (kinds - 1) * (kinds - 2) / 6;
    }

    /**
     * Blocks of at most four kinds such that every triple of kinds is in one block. The kinds get different numbers of six bits, by lot;
     * the blocks are the sets of four numbers whose exclusive or is 0 (the Steiner quadruple system of order 64): three numbers determine the
     * fourth. A number without a kind leaves a block of three.
     */
    static List<Set<Fault>> coveringTriples(long seed) {
        List<Integer> numbers = new ArrayList<>();
        for (int number = 0; number < POINTS; number++) {
            numbers.add(number);
        }
        Draw draw = new Draw(seed);
        Fault[] kinds = new Fault[POINTS];
        for (Fault kind : KINDS) {
            Integer number = draw.one(numbers);
            numbers.remove(number);
            kinds[number] = kind;
        }
        Set<Set<Fault>> blocks = new LinkedHashSet<>();
        for (int a = 0; a < POINTS; a++) {
            for (int b = a + 1; b < POINTS; b++) {
                for (int c = b + 1; c < POINTS; c++) {
                    int d = a ^ b ^ c;
                    if (kinds[a] != null && kinds[b] != null && kinds[c] != null && (d > c || kinds[d] == null)) {
                        blocks.add(kinds[d] == null ? EnumSet.of(kinds[a], kinds[b], kinds[c])
                                : EnumSet.of(kinds[a], kinds[b], kinds[c], kinds[d]));
                    }
                }
            }
        }
        return List.copyOf(blocks);
    }
}
