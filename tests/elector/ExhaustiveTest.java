import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Plays the schedules near the ordinary ones: see {@link ExhaustiveSearch} and {@link Script}.
 *
 * <p>{@code ./jbang exhaustive} plays all pairs of deviations; {@code EXHAUSTIVE_STRIDE=3 ./jbang all-tests ExhaustiveTest} every third.
 * {@code EXHAUSTIVE_REPLAY="crash of 2: 4:LATE 9:HELD:2" ./jbang all-tests ExhaustiveTest} plays one schedule, which a failure names in
 * this form, and prints its event log. The system properties {@code exhaustive.stride} and {@code exhaustive.replay} do the same.
 */
class ExhaustiveTest {

    /** Of the pairs every 151st, so that the search takes less than half a minute of two cores. */
    private static final int STRIDE = 151;
    private static final int SHOWN = 20;

    @Test
    @Timeout(value = 1, unit = TimeUnit.DAYS) // as many pairs as are asked for
    void no_schedule_near_an_ordinary_one_breaks_an_invariant() {
        if (setting("replay") != null) {
            replay(setting("replay"));
            return;
        }
        int stride = setting("stride") == null ? STRIDE : Integer.parseInt(setting("stride"));
        List<ExhaustiveSearch.Finding> findings = new ArrayList<>();
        long schedules = 0;
        long start = System.nanoTime();
        for (Script script : Script.all()) {
            ExhaustiveSearch.Outcome outcome = ExhaustiveSearch.play(script, stride, SHOWN);
            System.out.printf("exhaustive: %-60s %2d messages, %4d schedules with one deviation, %7d of %7d with two%n", script,
                    outcome.points(), outcome.singles(), outcome.pairs(), outcome.allPairs());
            assertTrue(outcome.points() > 10 && outcome.singles() > 10 * outcome.points() || !outcome.findings().isEmpty(),
                    script + " has " + outcome.singles() + " deviations");
            schedules += outcome.schedules();
            findings.addAll(outcome.findings());
        }
        System.out.printf("exhaustive: %d schedules, %.1f s%n", schedules, (System.nanoTime() - start) / 1e9);
        if (!findings.isEmpty()) {
            fail(report(findings));
        }
    }

    private static String report(List<ExhaustiveSearch.Finding> findings) {
        List<String> log = new ArrayList<>();
        ExhaustiveSearch.Finding first = findings.getFirst();
        ExhaustiveSearch.replay(first.script(), first.deviations(), log);
        String list = String.join("\n", findings.stream().limit(SHOWN).map(Object::toString).toList());
        return findings.size() + " schedules break an invariant:\n" + list + "\nthe first of them:\n" + String.join("\n", log);
    }

    private static void replay(String schedule) {
        List<String> log = new ArrayList<>();
        Violation violation = ExhaustiveSearch.replay(schedule, log);
        log.forEach(System.out::println);
        if (violation != null) {
            fail(violation.toString());
        }
    }

    @Test
    void a_list_of_deviations_is_a_schedule() {
        Script script = Script.named("hand-over by deletion of 3");
        List<Deviation> deviations = Deviation.parse("6:LATE 20:HELD:3");
        List<String> once = new ArrayList<>();
        List<String> again = new ArrayList<>();
        assertNull(ExhaustiveSearch.replay(script, deviations, once));
        assertNull(ExhaustiveSearch.replay(script, deviations, again));
        assertEquals(2, once.stream().filter(line -> line.contains("DEVIATION")).count(), once.toString());
        assertEquals(once, again);
        assertEquals(deviations, Deviation.parse(Deviation.show(deviations)));
    }

    /**
     * A rule less, and a schedule that shows it.
     *
     * @param name what the program now does
     * @param schedule or the name of a script, in which the search finds one
     */
    private record Sabotage(String name, String schedule, PatchedProgram.Edit... edits) {
        @Override
        public String toString() {
            return name;
        }
    }

    /**
     * What the search is for: none of the schedules that were drawn shows these. The first two were once in the program. For the others the
     * schedule is played that the search found, since it takes half a minute to find it; where the course of the script changes, the
     * script's name alone makes the search find another.
     */
    private static final List<Sabotage> SABOTAGES = List.of(
            new Sabotage("a 404 removes a pod that was observed since", "leader's pod replaced under its name of 2",
                    PatchedProgram.method("KnownGroup.observeMissing", "return original(name, Long.MAX_VALUE);")),
            new Sabotage("a 404 removes a Lease that was observed since", "first election with a Lease that somebody creates of 1",
                    PatchedProgram.method("KnownLease.observeMissing", "original(Long.MAX_VALUE, now, wallClock);"),
                    // What is read next would contradict that, and the process would start anew.
                    PatchedProgram.method("KnownLease.isContradictedBy",
                            "return observedSequence < requestSequence && isOlder(reply.version());")),
            new Sabotage("an announced pod passes for harmless", "busy leader loses the Lease of 2: 1:LATE 27:HELD:1",
                    PatchedProgram.method("isHarmless", "return !pod.isLabelled() && hasChangedSinceList(leading, pod);")),
            new Sabotage("a fence takes off a later leader's label", "busy leader loses the Lease of 2: 1:LATE",
                    PatchedProgram.method("isCovered", "return original() || !group.isSelf(observation.pod().name());")));

    /** One program with all edits: the variant of a sabotage is its place in the list, from 1 on. */
    private static final class Patched {
        static final PatchedProgram PROGRAM = PatchedProgram.with(SABOTAGES.stream().map(sabotage -> List.of(sabotage.edits)).toList());
    }

    @ParameterizedTest(name = "{0}")
    @FieldSource("SABOTAGES")
    void the_search_notices_when(Sabotage sabotage) {
        String violated = Patched.PROGRAM.violated(SABOTAGES.indexOf(sabotage) + 1, sabotage.schedule);
        System.out.println("exhaustive: " + sabotage + ": " + violated);
        assertTrue(violated != null, "nothing is violated");
    }

    /** A setting from the environment, else from the system properties; null if neither has it. */
    private static String setting(String name) {
        String inEnvironment = System.getenv("EXHAUSTIVE_" + name.toUpperCase());
        return inEnvironment != null ? inEnvironment : System.getProperty("exhaustive." + name);
    }
}
