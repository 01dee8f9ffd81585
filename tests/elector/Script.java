import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * An everyday situation of an election, as it goes when nothing disturbs it: a group is set up, then comes the <em>phase</em>, in which a
 * schedule of {@link ExhaustiveSearch} may deviate.
 *
 * <p>No request is under way when etcd is restored. Versions are given a second time, so a write of a process that has not noticed the
 * restoration yet may find the version that it rests on with other content; I1 is not guaranteed then.
 *
 * @param name unique
 * @param members pods of the group
 * @param setUp whether the group has a leader before the phase begins
 * @param handover of every sidecar
 * @param unreadyGrace of every sidecar
 * @param before what is done between the set-up and the phase
 * @param during plans what happens in the phase
 * @param phase length in nanoseconds
 */
record Script(String name, int members, boolean setUp, Handover handover, Duration unreadyGrace, Consumer<ScriptedWorld> before,
        Consumer<ScriptedWorld> during, long phase) {

    static final String ELECTION = "web";
    static final String NAMESPACE = "default";
    static final Duration LEASE = Duration.ofSeconds(3);
    static final Duration RENEW = Duration.ofSeconds(2);
    static final Duration RETRY = Duration.ofSeconds(1);
    private static final long MS = ScriptedWorld.MS;

    /** Settings of a pod's sidecar, which was told the pod's uid. */
    Config config(String pod, String uid) {
        return TestConfig.config().pod(pod).podUid(uid).timing(LEASE, RENEW, RETRY).handover(handover).unreadyGrace(unreadyGrace).build();
    }

    private static Script script(String name, int members, Consumer<ScriptedWorld> during, long phase) {
        return new Script(name + " of " + members, members, true, Handover.EARLY, Duration.ZERO, world -> { }, during, phase);
    }

    private Script startingEmpty() {
        return new Script(name, members, false, handover, unreadyGrace, before, during, phase);
    }

    private Script with(Handover other, Duration grace) {
        return new Script(name, members, setUp, other, grace, before, during, phase);
    }

    private Script after(Consumer<ScriptedWorld> first) {
        return new Script(name, members, setUp, handover, unreadyGrace, first, during, phase);
    }

    /** All situations, each with two and with three members; where one makes a difference, with one, too. */
    static List<Script> all() {
        List<Script> scripts = new ArrayList<>();
        scripts.addAll(starting(1));
        for (int members : List.of(2, 3)) {
            scripts.addAll(starting(members));
            scripts.addAll(handingOver(members));
            scripts.addAll(failing(members));
            scripts.addAll(tampering(members));
        }
        return scripts;
    }

    /** The situation of that name; NoSuchElementException if there is none. */
    static Script named(String name) {
        return all().stream().filter(script -> script.name.equals(name)).findFirst().orElseThrow();
    }

    private static List<Script> starting(int members) {
        return List.of(
                script("first election", members, ScriptedWorld::startPods, 400 * MS).startingEmpty(),
                script("first election with a Lease that somebody creates", members, world -> {
                    world.startPods();
                    world.after(3 * MS, world.server()::createLease);
                }, 400 * MS).startingEmpty());
    }

    private static List<Script> handingOver(int members) {
        return List.of(
                script("hand-over by SIGTERM", members, world -> world.leaderPod().stop(), 400 * MS),
                script("hand-over by deletion", members, world -> world.delete(world.leaderPod(), 4 * MS), 250 * MS),
                script("step-down of an unready leader", members, world -> {
                    ScriptedWorld.Member leader = world.leaderPod();
                    world.setReady(leader, false);
                    world.after(1200 * MS, () -> world.setReady(leader, true));
                }, 500 * MS).with(Handover.EARLY, Duration.ofMillis(200)),
                script("hand-over after the application's exit", members, world -> world.delete(world.leaderPod(), 200 * MS), 450 * MS)
                        .with(Handover.AFTER_EXIT, Duration.ZERO));
    }

    private static List<Script> failing(int members) {
        return List.of(
                script("crash", members, world -> world.leaderPod().crash(4500 * MS), 3700 * MS),
                script("container restart", members, world -> world.leaderPod().crash(100 * MS), 250 * MS),
                script("leader's pod replaced under its name", members, world -> world.replace(world.leaderPod()), 300 * MS),
                script("follower's pod replaced under its name", members, world -> world.replace(world.followerPod()), 300 * MS));
    }

    private static List<Script> tampering(int members) {
        return List.of(
                script("Lease deleted", members, world -> world.server().deleteLease(), 250 * MS),
                script("Lease deleted and applied again", members, world -> {
                    world.server().deleteLease();
                    world.after(3 * MS, world.server()::createLease);
                }, 250 * MS),
                script("etcd restored from a backup", members, world -> world.restore(), 4500 * MS).after(world -> {
                    world.server().backUp();
                    world.leaderPod().stop();
                    world.play(1500 * MS);
                }));
    }

    @Override
    public String toString() {
        return name;
    }
}
