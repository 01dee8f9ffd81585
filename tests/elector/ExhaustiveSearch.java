import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BiConsumer;

/**
 * Plays the schedules of a {@link Script} that differ from its undisturbed course by at most two {@link Deviation}s.
 *
 * <p><b>Which are played.</b> All with one deviation: at each message of the phase each kind that applies to it, and {@link
 * Deviation.Kind#HELD} past 1, 2, 3 … steps until more make no difference. Then all pairs of such a deviation and a second one, which
 * concerns a message that is sent later in the schedule with the first; the second is held past {@link #SECOND_HELD} steps only. A schedule
 * that violates an invariant is not continued by a second deviation. Of the pairs, every {@code stride}-th is played, in an order that
 * depends on nothing but the program.
 */
final class ExhaustiveSearch {

    private static final int THREADS = 2;
    private static final int MOST_HELD = 24;
    private static final List<Integer> SECOND_HELD = List.of(1, 3);

    private final Script script;
    private final int stride;
    private final int mostFindings;
    private final List<Finding> findings = Collections.synchronizedList(new ArrayList<>());
    private final AtomicLong singles = new AtomicLong();
    private final AtomicLong pairs = new AtomicLong();
    private final AtomicLong allPairs = new AtomicLong();

    /** A schedule that violates an invariant. */
    record Finding(Script script, List<Deviation> deviations, Violation violation) {
        @Override
        public String toString() {
            return script + ": " + Deviation.show(deviations) + " breaks " + violation;
        }
    }

    /** A first deviation, and the messages of the schedule that has it alone. */
    private record Single(Deviation first, List<Deviation.Message> messages) {}

    /**
     * What was played.
     *
     * @param points messages of the phase in the undisturbed course
     * @param allPairs pairs that there are, of which {@code pairs} were played
     * @param findings by deviations, in ascending order
     */
    record Outcome(Script script, int points, long singles, long pairs, long allPairs, List<Finding> findings) {
        long schedules() {
            return 1 + singles + pairs;
        }
    }

    private ExhaustiveSearch(Script script, int stride, int mostFindings) {
        this.script = script;
        this.stride = stride;
        this.mostFindings = mostFindings;
    }

    /**
     * Plays on two threads.
     *
     * @param stride of the pairs, 1 for all; 0 for none
     * @param mostFindings ends the search when there are so many
     */
    static Outcome play(Script script, int stride, int mostFindings) {
        return new ExhaustiveSearch(script, stride, mostFindings).play();
    }

    /** Plays one schedule again; its event log is added to {@code log}. Returns the violation, or null. */
    static Violation replay(Script script, List<Deviation> deviations, List<String> log) {
        return Simulation.play(script, new Deviations(deviations), log);
    }

    /** The same for a schedule as {@link Finding} names it, such as {@code crash of 2: 4:LATE 9:HELD:2}. */
    static Violation replay(String schedule, List<String> log) {
        int colon = schedule.indexOf(':');
        return replay(Script.named(schedule.substring(0, colon)), Deviation.parse(schedule.substring(colon + 1)), log);
    }

    /**
     * The violation in one schedule, or the first finding in a script of that name, with all pairs; null if there is none. For another
     * program: see PatchedProgram.
     */
    static String violated(String scheduleOrScript) {
        if (scheduleOrScript.contains(":")) {
            Violation violation = replay(scheduleOrScript, null);
            return violation == null ? null : violation.toString();
        }
        List<Finding> found = play(Script.named(scheduleOrScript), 1, 1).findings();
        return found.isEmpty() ? null : found.get(0).toString();
    }

    private Outcome play() {
        Deviations undisturbed = schedule(List.of());
        List<Deviation.Message> messages = undisturbed == null ? List.of() : undisturbed.messages();
        List<Single> alone = playSingles(firstDeviations(messages));
        if (stride > 0) {
            forEach(alone, this::playPairs);
        }
        findings.sort(Comparator.comparing((Finding finding) -> finding.deviations.size()).thenComparing(Finding::toString));
        return new Outcome(script, messages.size(), singles.get(), pairs.get(), allPairs.get(), List.copyOf(findings));
    }

    /** Calls the worker with each element and its index, on several threads, until there are enough findings. */
    private <T> void forEach(List<T> all, BiConsumer<T, Integer> worker) {
        AtomicInteger next = new AtomicInteger();
        inThreads(() -> {
            for (int i = next.getAndIncrement(); i < all.size() && findings.size() < mostFindings; i = next.getAndIncrement()) {
                worker.accept(all.get(i), i);
            }
        });
    }

    private static void inThreads(Runnable worker) {
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            List<Future<?>> workers = new ArrayList<>();
            for (int i = 0; i < THREADS; i++) {
                workers.add(threads.submit(worker));
            }
            for (Future<?> each : workers) {
                each.get();
            }
        } catch (ExecutionException e) {
            throw new AssertionError(e.getCause());
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** First deviations, each alone; only those by which a message is held form a chain, which ends when longer makes no difference. */
    private static List<List<Deviation>> firstDeviations(List<Deviation.Message> messages) {
        List<List<Deviation>> chains = new ArrayList<>();
        for (int point = 0; point < messages.size(); point++) {
            Deviation.Message message = messages.get(point);
            for (Deviation.Kind kind : message.kinds) {
                chains.add(List.of(Deviation.of(point, kind)));
            }
            if (message.canBeHeld()) {
                List<Deviation> held = new ArrayList<>();
                for (int past = 1; past <= MOST_HELD; past++) {
                    held.add(Deviation.held(point, past));
                }
                chains.add(held);
            }
        }
        return chains;
    }

    /** Plays the chains; returns what is green, in the order of the chains. */
    private List<Single> playSingles(List<List<Deviation>> chains) {
        List<List<Single>> green = new ArrayList<>(Collections.nCopies(chains.size(), List.of()));
        forEach(chains, (chain, number) -> green.set(number, playChain(chain)));
        return green.stream().flatMap(List::stream).toList();
    }

    private List<Single> playChain(List<Deviation> chain) {
        List<Single> green = new ArrayList<>();
        for (Deviation first : chain) {
            singles.incrementAndGet();
            Deviations schedule = schedule(List.of(first));
            if (schedule != null && schedule.isExhausted()) {
                break;
            }
            if (schedule != null) {
                green.add(new Single(first, schedule.messages()));
            }
        }
        return green;
    }

    /** Plays every stride-th second deviation, counted from the number of the first. */
    private void playPairs(Single alone, int number) {
        int next = number;
        for (int point = alone.first.point() + 1; point < alone.messages.size() && findings.size() < mostFindings; point++) {
            Deviation.Message message = alone.messages.get(point);
            for (Deviation.Kind kind : message.kinds) {
                playPair(alone.first, Deviation.of(point, kind), next++);
            }
            if (message.canBeHeld()) {
                for (int past : SECOND_HELD) {
                    playPair(alone.first, Deviation.held(point, past), next++);
                }
            }
        }
        allPairs.addAndGet(next - number);
    }

    private void playPair(Deviation first, Deviation second, int number) {
        if (stride > 0 && number % stride == 0) {
            pairs.incrementAndGet();
            schedule(List.of(first, second));
        }
    }

    /** Plays a schedule; null if it violates an invariant, which is then noted. */
    private Deviations schedule(List<Deviation> deviations) {
        Deviations schedule = new Deviations(deviations);
        Violation violation = Simulation.play(script, schedule, null);
        if (violation != null) {
            findings.add(new Finding(script, deviations, violation));
            return null;
        }
        return schedule;
    }
}
