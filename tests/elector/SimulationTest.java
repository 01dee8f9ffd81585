import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Plays many schedules of real electors against a model of the API server; see {@link Simulation}.
 *
 * <p>{@code SIMULATION_SEED=123 ./jbang all-tests SimulationTest} plays one schedule and prints its event log; {@code SIMULATION_FAULTS}
 * names its faults as a failure prints them. {@code SIMULATION_SCHEDULES=1000000} plays that many. {@code ./jbang
 * -Dsimulation.minutes=60 nightly-simulation} plays that long, from a new seed. The system properties {@code simulation.seed} and so on do
 * the same as the variables.
 */
class SimulationTest {

    private static final int THREADS = 2;
    private static final long SCHEDULES = 1_000;
    private static final long LARGE_SCHEDULES = 2;
    /** So often each pair of kinds of faults occurs. */
    private static final int PAIRS = 20;
    /** A triple that did not occur, though a schedule was to have it, gets so many more. */
    private static final int MORE = 40;

    /** One schedule to be played; {@code faults} is null for what the seed has in store. */
    private record Schedule(long seed, Set<Fault> faults) {
        Violation play(Coverage total, List<String> log) {
            return faults == null ? Simulation.play(seed, Set.of(), total, log) : Simulation.playTogether(seed, faults, total, log);
        }

        @Override
        public String toString() {
            return "seed " + seed + ", faults \"" + (faults == null ? "" : faults.stream().map(Fault::name).collect(Collectors.joining("+")))
                    + "\"";
        }
    }

    @Test
    @Timeout(value = 30, unit = TimeUnit.DAYS) // as many schedules as are asked for
    void no_schedule_breaks_an_invariant() throws InterruptedException, ExecutionException {
        if (setting("seed") != null) {
            playAlone(Long.parseLong(setting("seed")), setting("faults"));
            return;
        }
        long schedules = setting("schedules") == null ? SCHEDULES : Long.parseLong(setting("schedules"));
        Coverage coverage = new Coverage();
        playAll("drawn", LongStream.range(0, schedules).mapToObj(seed -> new Schedule(seed, null)).toList(), coverage);

        System.out.printf("%s%n%s%n", coverage.deeds(), coverage.faults());
        assertTrue(coverage.steps() > 300 * schedules, "several hundred steps per schedule");
        coverage.deeds().forEach((deed, count) -> assertTrue(count > 0, deed + " never happened"));
        coverage.faults().forEach((fault, count) -> assertTrue(count > 0 || fault == Fault.LARGE_GROUP, fault + " never happened"));
    }

    /** What three kinds of faults do together, no two of them may do: each triple of kinds occurs in a schedule. */
    @Test
    void no_three_kinds_of_faults_break_an_invariant_together() throws InterruptedException, ExecutionException {
        playTriples(0, new Coverage());
    }

    /** The same and more for so many minutes, from a seed that nobody has seen before; does nothing if no time is given. */
    @Test
    @Timeout(value = 30, unit = TimeUnit.DAYS)
    void no_schedule_of_a_long_night_breaks_an_invariant() throws InterruptedException, ExecutionException {
        if (setting("minutes") == null) {
            return;
        }
        long end = System.nanoTime() + Duration.ofMinutes(Long.parseLong(setting("minutes"))).toNanos();
        for (long seed = System.nanoTime() & 0xFFFF_FFFF_FFFFL; System.nanoTime() < end; seed += 1_000_000) {
            playAll("drawn", LongStream.range(seed, seed + SCHEDULES).mapToObj(s -> new Schedule(s, null)).toList(), new Coverage());
            playTriples(seed, new Coverage());
        }
    }

    private static void playTriples(long seed, Coverage coverage) throws InterruptedException, ExecutionException {
        List<Set<Fault>> blocks = Combinations.coveringTriples(seed);
        playAll("triples", IntStream.range(0, blocks.size()).mapToObj(i -> new Schedule(seed + i, blocks.get(i))).toList(), coverage);
        Combinations together = coverage.combinations();
        for (int more = 1; more <= MORE && !together.missingTriples().isEmpty(); more++) {
            long next = seed + 100_000L * more;
            playAll("triples that have not occurred", together.missingTriples().stream().map(t -> new Schedule(next, t)).toList(), coverage);
        }
        System.out.printf("simulation: %d triples of kinds of faults, %d missing; pairs that occurred less than %d times: %s%n",
                Combinations.numberOfTriples(), together.missingTriples().size(), PAIRS, together.pairsBelow(PAIRS));
        assertEquals(List.of(), together.missingTriples());
        assertEquals(List.of(), together.pairsBelow(PAIRS));
    }

    /** All invariants, and the limits to what each member sends, hold for a hundred as they do for five. */
    @ParameterizedTest
    @ValueSource(strings = {"SIGTERM", "SIDECAR_DEAD WATCH_LAG", "POD_UNREADY WATCH_LAG"})
    void a_hundred_members_are_a_group_like_any_other(String faults) {
        Coverage coverage = new Coverage();
        Set<Fault> only = EnumSet.of(Fault.LARGE_GROUP);
        Stream.of(faults.split(" ")).map(Fault::valueOf).forEach(only::add);
        for (long seed = 0; seed < LARGE_SCHEDULES; seed++) {
            assertNull(Simulation.play(seed, only, coverage, null), "seed " + seed);
        }
        System.out.printf("simulation: %d schedules of 100 members with %s, %d steps%n%s%n", LARGE_SCHEDULES, faults, coverage.steps(),
                coverage.deeds());
        assertEquals(LARGE_SCHEDULES, coverage.deeds().get(Coverage.Deed.SETTLED));
        assertTrue(coverage.deeds().get(Coverage.Deed.FENCE) > 99 * LARGE_SCHEDULES, "everybody is fenced");
    }

    /** A GET of a pod was answered 404, and the answer came after the watch had shown a new pod of that name; that pod was not fenced. */
    @Test
    void an_answer_that_a_pod_does_not_exist_does_not_hide_a_newer_pod() {
        for (long seed = 1164; seed < 1200; seed++) {
            assertNull(Simulation.violated(seed, "POD_REPLACED SLOW SIGTERM LEASE_EMPTIED"), "seed " + seed);
        }
    }

    @Test
    void a_seed_is_a_schedule() {
        List<String> once = new ArrayList<>();
        List<String> again = new ArrayList<>();
        Simulation.play(4711, Set.of(), null, once);
        Simulation.play(4711, Set.of(), null, again);
        assertTrue(once.size() > 100, once.size() + " lines");
        assertEquals(once, again);
    }

    private static void playAlone(long seed, String faults) {
        boolean drawn = faults == null || faults.isEmpty();
        List<String> log = new ArrayList<>();
        Violation violation = new Schedule(seed, drawn ? null : Simulation.faults(faults)).play(null, log);
        log.forEach(System.out::println);
        if (violation != null) {
            fail(violation.toString());
        }
    }

    /** Plays them on all threads, prints how long it took, and fails if one breaks an invariant. */
    private static void playAll(String what, List<Schedule> schedules, Coverage total) throws InterruptedException, ExecutionException {
        long start = System.nanoTime();
        long before = total.steps();
        Map<Integer, Violation> violations = new TreeMap<>();
        AtomicInteger next = new AtomicInteger();
        long nanos = 0;
        Callable<Long> player = () -> play(schedules, next, violations, total);
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            for (Future<Long> cpu : threads.invokeAll(Collections.nCopies(THREADS, player))) {
                nanos += cpu.get();
            }
        }
        System.out.printf("simulation: %d schedules (%s), %d steps, %.1f s, %.2f ms of CPU per schedule%n", schedules.size(), what,
                total.steps() - before, (System.nanoTime() - start) / 1e9, nanos / 1e6 / schedules.size());
        if (!violations.isEmpty()) {
            Map<Schedule, String> all = new LinkedHashMap<>();
            violations.forEach((at, violation) -> all.put(schedules.get(at), violation.toString()));
            Schedule first = all.keySet().iterator().next();
            List<String> log = new ArrayList<>();
            first.play(null, log);
            fail(all.size() + " schedules break an invariant:\n" + all.entrySet().stream().map(Object::toString)
                    .collect(Collectors.joining("\n")) + "\n\n" + first + "\n" + String.join("\n", log));
        }
    }

    private static long play(List<Schedule> schedules, AtomicInteger next, Map<Integer, Violation> violations, Coverage total) {
        Coverage own = new Coverage();
        for (int i = next.getAndIncrement(); i < schedules.size(); i = next.getAndIncrement()) {
            Violation violation = schedules.get(i).play(own, null);
            if (violation != null) {
                synchronized (violations) {
                    violations.put(i, violation);
                }
            }
        }
        synchronized (total) {
            total.add(own);
        }
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    /** A setting from the environment, else from the system properties; null if neither has it. */
    private static String setting(String name) {
        String inEnvironment = System.getenv("SIMULATION_" + name.toUpperCase());
        return inEnvironment != null ? inEnvironment : System.getProperty("simulation." + name);
    }
}
