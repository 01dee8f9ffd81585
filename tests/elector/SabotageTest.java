import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.management.ManagementFactory;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Is every rule of the protocol needed, and would the simulation notice its loss? Each sabotage takes one rule out of the program's source
 * text. The simulation must then go red within ten seconds on a few schedules, on which it is green as long as the program is whole.
 */
class SabotageTest {

    /** The schedules are those of the seeds from 0 on. */
    private static final int SEEDS = 3000;
    private static final double MOST_SECONDS = 10;
    private static final String COVERED = "if (reading.sequence() >= win.coveredBefore) {";
    private static final String UNFENCED = "register() && unfenced.isEmpty()";
    private static final String WON = "return lease != null && lease.version().equals(win.version);";
    private static final String LISTED = "} else if (!lease.version().equals(listedFor)) {";
    /** Schedules of the whole program that were green, by faults and seed; several sabotages share them. */
    private static final Map<String, Long> GREEN = new HashMap<>();

    /**
     * One rule less.
     *
     * @param name what the program now does
     * @param invariant what must break
     * @param faults what the schedules have in store, see {@link Fault}
     */
    private record Sabotage(String name, String invariant, String faults, List<PatchedProgram.Edit> edits) {
        @Override
        public String toString() {
            return name;
        }
    }

    private static Sabotage sabotage(String name, String invariant, String faults, String... textsAndReplacements) {
        List<PatchedProgram.Edit> edits = Stream.iterate(0, i -> i < textsAndReplacements.length, i -> i + 2)
                .map(i -> new PatchedProgram.Edit(textsAndReplacements[i], textsAndReplacements[i + 1])).toList();
        return new Sabotage(name, invariant, faults, edits);
    }

    static List<Sabotage> sabotages() {
        return Stream.of(fencing(), readingAndListing(), winning(), timing(), leavingAndRegistering(), keepingTheLabel())
                .flatMap(List::stream).toList();
    }

    private static List<Sabotage> fencing() {
        return List.of(
                sabotage("a leader does not fence the others", "I1", "CRASH",
                        "otherReadings().filter(r -> !isFenced(r.pod())).toList()", "otherReadings().filter(r -> false).toList()"),
                sabotage("a leader is promoted over a pod whose fence failed", "I1", "PATCH_REFUSED LEASE_EMPTIED",
                        UNFENCED, "register() && unfenced.stream().allMatch(r -> troubles.containsKey(r.pod().name()))"),
                sabotage("a leader is promoted while fences are under way", "I1", "LEASE_EMPTIED",
                        UNFENCED, "register() && unfenced.stream().allMatch(r -> pending.containsKey(r.pod().name()))"),
                sabotage("patches carry no resourceVersion", "I1", "LATE LEASE_EMPTIED",
                        "pod.name(), pod.version(), leadership", "pod.name(), null, leadership"));
    }

    private static List<Sabotage> readingAndListing() {
        return List.of(
                sabotage("a new leader writes on readings that are younger than its win", "I1", "WATCH_LAG LEASE_EMPTIED SLOW",
                        COVERED, "if (win.announced && reading.sequence() >= win.coveredBefore) {"),
                sabotage("a leader heals without renewing first", "I1", "LATE LEASE_EMPTIED KEY_FORGED",
                        COVERED, "if (!win.announced && reading.sequence() >= win.coveredBefore) {"),
                sabotage("the group is listed before the version of the Lease is known", "I1",
                        "LEASE_DELETED WATCH_LAG SLOW POD_FORCED POD_DELETED",
                        LISTED, "} else if (listedFor == null) {",
                        "        role = next;\n        listedFor = null;",
                        "        role = next;\n        listedFor = next == Role.LEADING ? null : listedFor;"),
                sabotage("the group is listed by the participation label", "I1", "KEY_STRIPPED LATE LEASE_EMPTIED",
                        "notePods(all.pods(), all.version());\n                    listedFor",
                        "notePods(all.pods().stream().filter(p -> p.participation() != null).toList(), all.version());\n"
                                + "                    listedFor"));
    }

    private static List<Sabotage> winning() {
        return List.of(
                sabotage("the Lease is written without its uid", "I1", "LEASE_DELETED LATE WATCH_LAG",
                        "new Effect.PutLease(sequence + 1, next, now + retryPeriod)",
                        "new Effect.PutLease(sequence + 1, new Lease(next.version(), null, next.holder(), next.durationSeconds(), "
                                + "next.acquireTime(), next.renewTime(), next.transitions(), next.claim(), next.origin()), "
                                + "now + retryPeriod)"),
                sabotage("who creates the Lease has won it", "I1", "LEASE_DELETED WATCH_LAG SLOW POD_DELETED",
                        "        } else if (lease == null) {\n            ask(LEASE, new Effect.CreateLease(sequence + 1));\n"
                                + "        } else if (!lease.version().equals(listedFor)) {\n"
                                + "            if (ask(GROUP, new Effect.ListPods(sequence + 1))) {\n"
                                + "                listingFor = lease.version();",
                        "        } else if (!(lease == null ? \"none\" : lease.version()).equals(listedFor)) {\n"
                                + "            if (ask(GROUP, new Effect.ListPods(sequence + 1))) {\n"
                                + "                listingFor = lease == null ? \"none\" : lease.version();",
                        "if (putLease(lease.heldBy(claim, config.leaseDuration().toSeconds()))) {\n                attempt",
                        "if (putLease((lease == null ? new Lease(null, null, \"\", 1, null, null, 0, null, null) : lease)\n"
                                + "                    .heldBy(claim, config.leaseDuration().toSeconds()))) {\n                attempt",
                        "put && !is.created()", "put"),
                sabotage("a renewal takes an empty holder for its own", "I1", "LEASE_EMPTIED WATCH_LAG LATE",
                        WON, "return lease != null && (!isHeld() || lease.version().equals(win.version));"),
                sabotage("a renewal takes a foreign acquireTime for its own", "I5", "POD_REPLACED WATCH_LAG FREEZE",
                        WON, "return isHeld() && lease.holder().equals(config.pod());"),
                sabotage("an old state of the Lease that somebody put back passes for the own win", "I1",
                        "LEASE_RESTORED LEASE_EMPTIED WATCH_LAG LATE",
                        WON, "return isHeldBySelf() && lease.claim().acquireTime().equals(win.claim.acquireTime());"),
                sabotage("a Lease of the own name is resumed whatever the uid", "I5", "POD_REPLACED WATCH_LAG FREEZE",
                        "isSelf(lease.claim().pod()) && lease.claim().uid().equals(uid)", "isSelf(lease.claim().pod())"));
    }

    private static List<Sabotage> timing() {
        return List.of(
                sabotage("expiry is read off the holder's wall clock", "I5", "WALL_CLOCKS",
                        "        return leaseChangedAt + recordedDuration();\n",
                        "        return lease.renewTime() == null ? leaseChangedAt + recordedDuration()\n"
                                + "                : now + Duration.between(wall, lease.renewTime()).toNanos() + recordedDuration();\n"),
                sabotage("expiry goes by the own duration instead of the recorded one", "I5", "MIXED_TIMINGS CRASH",
                        "return seconds == null || seconds > LONGEST_DURATION_SECONDS ? leaseDuration : TimeUnit.SECONDS.toNanos(seconds);",
                        "return leaseDuration;"),
                sabotage("a holder is taken for gone because a watch says so", "I5", "KEY_STRIPPED WATCH_LAG",
                        "askPod(holder.pod(), holder.uid());", "noteGone(holder.uid());"));
    }

    private static List<Sabotage> leavingAndRegistering() {
        return List.of(
                sabotage("true is written on a pod that has failed", "I1", "POD_FINISHED KEY_FORGED LATE SLOW LEASE_EMPTIED",
                        "return stopAt != NEVER || own != null && !own.isAlive();",
                        "return stopAt != NEVER || own != null && !own.isAlive() && !own.finished();"),
                sabotage("true is written on a pod that has lost a key", "I1", "KEY_STRIPPED LATE LEASE_EMPTIED",
                        "} else if (register() && unfenced.isEmpty()) {",
                        "} else if ((own() != null || register()) && unfenced.isEmpty()) {"),
                sabotage("who leaves does not raise the version of its pod", "I2", "LATE LEASE_EMPTIED WIND_DOWN",
                        "return own == null || own.isLabelled() || own.version().equals(trueSentOn);",
                        "return own == null || own.isLabelled();"));
    }

    /** Beyond safety: the label moves, it is not dropped, and the lead stays where it is. */
    private static List<Sabotage> keepingTheLabel() {
        return List.of(
                sabotage("the labelled pod is not the last to be fenced", "I3", "POD_DELETED",
                        "if (onlyLabelled || !reading.pod().isLabelled()) {", "if (true) {"),
                sabotage("who leaves takes its label off instead of offering it", "I3", "POD_DELETED",
                        "return others().anyMatch(Pod::isAlive) && !due(partedAt + SUCCESSOR_LIMIT);", "return false;"),
                sabotage("a follower takes its own label off", "I3", "LEASE_DELETED",
                        "own().isLabelled() && !isHeld() && due(leaseChangedAt + leaseDuration)", "own().isLabelled()"),
                sabotage("a restarted container does not take its Lease back", "I5", "CRASH",
                        "return isHeldBySelf() || due(freeAt() + patience(own));", "return due(freeAt() + patience(own));"),
                sabotage("after-exit hands over before the application has exited", "after-exit", "POD_DELETED",
                        "return config.handover() == Handover.AFTER_EXIT && own() != null && own().terminating() && !own().finished();",
                        "return false;"),
                sabotage("a half-open watch is never begun anew", "watch", "WATCH_SILENT",
                        "effects.add(new Effect.RestartWatches());", ""));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("sabotages")
    void the_simulation_notices_when(Sabotage sabotage) {
        PatchedProgram program = PatchedProgram.with(sabotage.edits);
        long start = cpu();
        long red = 0;
        String violated = null;
        while (violated == null && red < SEEDS) {
            String found = program.violated(red++, sabotage.faults);
            violated = found != null && found.startsWith(sabotage.invariant + ": ") ? found : null;
        }
        double seconds = (cpu() - start) / 1e9;
        if (violated == null) {
            fail("nothing violated " + sabotage.invariant + " in " + SEEDS + " schedules");
        }
        System.out.printf("sabotage: red after %d schedules, %.1f s: %s: %s%n", red, seconds, sabotage, violated);
        assertTrue(seconds < MOST_SECONDS, seconds + " s");
        isGreenWithoutSabotage(sabotage.faults, red);
    }

    private static void isGreenWithoutSabotage(String faults, long seeds) {
        long known = GREEN.getOrDefault(faults, 0L);
        for (long seed = known; seed < seeds; seed++) {
            assertNull(Simulation.violated(seed, faults), "the whole program, seed " + seed);
        }
        GREEN.put(faults, Math.max(known, seeds));
    }

    private static long cpu() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }
}
