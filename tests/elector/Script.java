import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * An everyday situation of an election, as it goes when nothing disturbs it: a group is set up, then comes the <em>phase</em>, in which a
 * schedule of {@link ExhaustiveSearch} may deviate. Nothing in it is random: see {@link Draw#steady}.
 *
 * <p>No request is under way when etcd is restored. Versions are given a second time, so a write of a process that has not noticed the
 * restoration yet may find the version that it rests on with other content; I1 is not guaranteed then.
 *
 * @param name unique
 * @param members pods of the group
 * @param setUp whether the group has a leader before the phase begins
 * @param handover of every sidecar
 * @param before what is done between the set-up and the phase
 * @param during plans what happens in the phase
 * @param phase length in nanoseconds
 */
record Script(String name, int members, boolean setUp, Handover handover, Consumer<Simulation> before, Consumer<Simulation> during,
        long phase) {

    /** lease-duration, renew-deadline and retry-period in milliseconds. */
    static final long[] TIMING = {3000, 2000, 1000};
    private static final long MS = Simulation.MS;

    private static Script script(String name, int members, Consumer<Simulation> during, long phase) {
        return new Script(name + " of " + members, members, true, Handover.EARLY, world -> { }, during, phase);
    }

    private Script startingEmpty() {
        return new Script(name, members, false, handover, before, during, phase);
    }

    private Script with(Handover other) {
        return new Script(name, members, setUp, other, before, during, phase);
    }

    private Script after(Consumer<Simulation> first) {
        return new Script(name, members, setUp, handover, first, during, phase);
    }

    /** What the schedule with these deviations is like. */
    Mix mix(Draw draw, Deviations deviations) {
        return new Mix(draw, deviations.faults(), members, handover);
    }

    /** All situations, nearly each with two and with three members; where one makes a difference, with one, too. */
    static List<Script> all() {
        List<Script> scripts = new ArrayList<>();
        scripts.addAll(starting(1));
        for (int members : List.of(2, 3)) {
            scripts.addAll(starting(members));
            scripts.addAll(handingOver(members));
            scripts.addAll(failing(members));
            scripts.addAll(tampering(members));
        }
        scripts.add(busyLeaderDeposed(2));
        return scripts;
    }

    /** The situation of that name; NoSuchElementException if there is none. */
    static Script named(String name) {
        return all().stream().filter(script -> script.name.equals(name)).findFirst().orElseThrow();
    }

    private static List<Script> starting(int members) {
        return List.of(
                script("first election", members, world -> { }, 400 * MS).startingEmpty(),
                script("first election with a Lease that somebody creates", members,
                        world -> world.after(5 * MS / 2, world.server::createLease), // just before a sidecar would create it
                        400 * MS).startingEmpty());
    }

    private static List<Script> handingOver(int members) {
        return List.of(
                script("hand-over by SIGTERM", members, world -> leadersProcess(world).ifPresent(SimulatedProcess::stop), 400 * MS),
                script("hand-over by deletion", members, world -> world.workload.delete(leader(world)), 250 * MS),
                script("step-down of an unready leader", members, world -> {
                    SimulatedPod leader = leader(world);
                    world.workload.setReady(leader, false);
                    world.after(2000 * MS, () -> world.workload.setReady(leader, true));
                }, 1300 * MS),
                script("hand-over after the application's exit", members, world -> world.workload.delete(leader(world)), 450 * MS)
                        .with(Handover.AFTER_EXIT));
    }

    private static List<Script> failing(int members) {
        return List.of(
                script("crash", members, world -> {
                    leader(world).bury();
                    leadersProcess(world).ifPresent(SimulatedProcess::kill);
                }, 3700 * MS),
                script("container restart", members, world -> leadersProcess(world).ifPresent(SimulatedProcess::kill), 250 * MS),
                script("leader's pod replaced under its name", members, world -> world.workload.force(leader(world), true), 300 * MS),
                script("follower's pod replaced under its name", members, world -> world.workload.force(follower(world), true), 300 * MS));
    }

    private static List<Script> tampering(int members) {
        return List.of(
                script("Lease deleted", members, world -> world.server.deleteLease(), 250 * MS),
                script("Lease deleted and applied again", members, world -> {
                    world.server.deleteLease();
                    world.after(3 * MS / 10, world.server::createLease);
                }, 250 * MS),
                script("etcd restored from a backup", members, world -> {
                    world.server.restore();
                    world.workload.reconcile();
                }, 4500 * MS).after(world -> {
                    world.server.backUp();
                    leadersProcess(world).ifPresent(SimulatedProcess::stop);
                    world.playFor(1500 * MS);
                }));
    }

    /**
     * A leader has lost its label, and its pod changes faster than it can be read, covered by a renewal, and written. So the leader
     * announces that it will label the pod, and renews the Lease. Then it loses the Lease, and the pod goes on changing.
     */
    private static Script busyLeaderDeposed(int members) {
        return script("busy leader loses the Lease", members, world -> {
            String leader = leader(world).name();
            world.server.editPod(leader, Map.of(world.mix.leadershipLabel, "false"), Map.of());
            for (long micros : List.of(410, 820, 2_200, 2_600)) {
                world.after(micros * MS / 1000, () -> world.server.touchPod(leader, false));
            }
            world.after(1_600 * MS / 1000, () -> world.server.editLease(Map.of("holderIdentity", ""), Map.of()));
        }, 250 * MS);
    }

    private static SimulatedPod leader(Simulation world) {
        return pod(world, true);
    }

    private static Optional<SimulatedProcess> leadersProcess(Simulation world) {
        return Optional.ofNullable(leader(world).process());
    }

    private static SimulatedPod follower(Simulation world) {
        return pod(world, false);
    }

    private static SimulatedPod pod(Simulation world, boolean isLabelled) {
        return world.workload.pods().stream().filter(pod -> world.server.pod(pod.name()).isLabelled() == isLabelled).findFirst().orElseThrow();
    }

    @Override
    public String toString() {
        return name;
    }
}
