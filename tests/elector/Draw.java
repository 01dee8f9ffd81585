import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * Everything random in one simulated schedule comes from here, and so from its seed. In a {@link #steady} one nothing happens by chance, every
 * number is the smallest, and of several things the last is taken.
 */
final class Draw {

    /** Null where nothing is random. */
    private final SplittableRandom random;

    private Draw(SplittableRandom random) {
        this.random = random;
    }

    Draw(long seed) {
        this(new SplittableRandom(seed));
    }

    /** The opposite of chance, for a {@link Script}. */
    static Draw steady() {
        return new Draw(null);
    }

    /** True with this probability. */
    boolean chance(double probability) {
        return probability > 0 && random != null && random.nextDouble() < probability;
    }

    /** Evenly from {@code low} to {@code high}, both included. */
    long between(long low, long high) {
        return high <= low || random == null ? low : random.nextLong(low, high + 1);
    }

    /** Between the two, evenly on a logarithmic scale: short times are as likely to differ by a factor as long ones. */
    long spread(long low, long high) {
        return high <= low || random == null ? low : (long) (low * Math.pow((double) high / low, random.nextDouble()));
    }

    double between(double low, double high) {
        return random == null ? low : low + (high - low) * random.nextDouble();
    }

    /** One of these, of which there is at least one. */
    <T> T one(List<T> of) {
        return random == null ? of.getLast() : of.get(random.nextInt(of.size()));
    }

    /** A source for somebody else, which no longer depends on how often this one is asked. */
    RandomGenerator split() {
        return random == null ? () -> 1L << 62 : random.split();
    }
}
