import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Plays many schedules of real electors against a model of the API server; see {@link Simulation}.
 *
 * <p>{@code SIMULATION_SEED=123 ./jbang all-tests SimulationTest} plays one schedule and prints its event log, {@code
 * SIMULATION_SCHEDULES=1000000} plays that many. The system properties {@code simulation.seed} and {@code simulation.schedules} do
 * the same.
 */
class SimulationTest {

    private static final int THREADS = 2;
    private static final long SCHEDULES = 20_000;
    private static final long LARGE_SCHEDULES = 2;
    /** What one schedule may cost on average: 20,000 of them fit into a minute of two cores. */
    private static final double MOST_MILLIS_PER_SCHEDULE = 6;

    private final Map<Long, Violation> violations = new TreeMap<>();
    private final AtomicLong next = new AtomicLong();

    @Test
    void no_schedule_breaks_an_invariant() throws InterruptedException, ExecutionException {
        if (setting("seed") != null) {
            playAlone(Long.parseLong(setting("seed")));
            return;
        }
        long schedules = setting("schedules") == null ? SCHEDULES : Long.parseLong(setting("schedules"));
        long start = System.nanoTime();
        Coverage coverage = new Coverage();
        double cpuMillis = playAll(schedules, coverage);

        System.out.printf("simulation: %d schedules, %d steps, %.1f s, %.2f ms of CPU per schedule%n%s%n%s%n", coverage.schedules(),
                coverage.steps(), (System.nanoTime() - start) / 1e9, cpuMillis / schedules, coverage.deeds(), coverage.faults());
        violations.entrySet().stream().findFirst().ifPresent(first -> fail(replay(first.getKey())));
        assertEquals(schedules, coverage.schedules());
        assertTrue(coverage.steps() > 300 * schedules, "several hundred steps per schedule");
        assertTrue(cpuMillis < MOST_MILLIS_PER_SCHEDULE * schedules, cpuMillis / schedules + " ms of CPU per schedule");
        coverage.deeds().forEach((deed, count) -> assertTrue(count > 0, deed + " never happened"));
        coverage.faults().forEach((fault, count) -> assertTrue(count > 0 || fault == Fault.LARGE_GROUP, fault + " never happened"));
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

    @Test
    void a_seed_is_a_schedule() {
        List<String> once = new ArrayList<>();
        List<String> again = new ArrayList<>();
        Simulation.play(4711, Set.of(), null, once);
        Simulation.play(4711, Set.of(), null, again);
        assertTrue(once.size() > 100, once.size() + " lines");
        assertEquals(once, again);
    }

    private void playAlone(long seed) {
        List<String> log = new ArrayList<>();
        Violation violation = Simulation.play(seed, Set.of(), null, log);
        log.forEach(System.out::println);
        if (violation != null) {
            fail(violation.invariant() + ": " + violation.getMessage());
        }
    }

    /** Plays the first so many seeds and returns the milliseconds of CPU that it took. */
    private double playAll(long schedules, Coverage total) throws InterruptedException, ExecutionException {
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            Callable<Long> player = () -> play(schedules, total);
            long nanos = 0;
            for (Future<Long> cpu : threads.invokeAll(List.of(player, player))) {
                nanos += cpu.get();
            }
            return nanos / 1e6;
        }
    }

    private long play(long schedules, Coverage total) {
        Coverage own = new Coverage();
        for (long seed = next.getAndIncrement(); seed < schedules; seed = next.getAndIncrement()) {
            Violation violation = Simulation.play(seed, Set.of(), own, null);
            if (violation != null) {
                synchronized (violations) {
                    violations.put(seed, violation);
                }
            }
        }
        synchronized (total) {
            total.add(own);
        }
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    private String replay(long seed) {
        List<String> log = new ArrayList<>();
        Violation violation = Simulation.play(seed, Set.of(), null, log);
        return violations.size() + " schedules break an invariant: " + violations.keySet() + "\nseed " + seed + ", " + violation.invariant()
                + ": " + violation.getMessage() + "\n" + String.join("\n", log);
    }

    /** A setting from the environment, else from the system properties; null if neither has it. */
    private static String setting(String name) {
        String inEnvironment = System.getenv("SIMULATION_" + name.toUpperCase());
        return inEnvironment != null ? inEnvironment : System.getProperty("simulation." + name);
    }
}
