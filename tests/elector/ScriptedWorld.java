import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.PriorityQueue;

/**
 * One schedule of a {@link Script}: real electors against a {@link ScriptedServer} in virtual time on one thread, with fixed delays and
 * without anything random. It differs from the undisturbed course by its {@link Deviation}s alone. After the phase comes a quiet period,
 * which ends when everything is as it should be and has stayed so for a while.
 */
final class ScriptedWorld {

    static final long MS = 1_000_000;
    static final long SECOND = 1_000 * MS;
    private static final Instant EPOCH = Instant.parse("2025-01-01T00:00:00Z");
    /** Points beyond this number are not counted. */
    private static final int MOST_POINTS = 500;
    /** The first leader, which has been since 9 ms, then renews the Lease for the first time in the phase. */
    private static final long SET_UP = 1_000 * MS;
    /** What the script plans begins when that renewal was executed, and its answer and its events are on their way. */
    private static final long LEAD_IN = 10 * MS + MS / 2;
    private static final long RESTART = 300 * MS;
    private static final long CHECK = 100 * MS;
    private static final long CALM = 1_200 * MS;
    /** In this time everything heals. */
    private static final long LONGEST_QUIET = 2 * Script.LEASE.toNanos() + 6 * SECOND;

    private record Happening(long time, long order, Runnable action) implements Comparable<Happening> {
        @Override
        public int compareTo(Happening other) {
            return time != other.time ? Long.compare(time, other.time) : Long.compare(order, other.order);
        }
    }

    /** What is held until so many steps have been taken, at one place. */
    static final class Holds {
        private final List<Hold> holds = new ArrayList<>(2);

        /** One more step. */
        void step(ScriptedWorld world) {
            for (int i = 0; i < holds.size(); i++) {
                Hold hold = holds.get(i);
                if (--hold.remaining <= 0) {
                    holds.remove(i--);
                    world.at(world.now, hold::release);
                }
            }
        }
    }

    private static final class Hold {
        private final Runnable action;
        private int remaining;
        private boolean released;

        Hold(int past, Runnable action) {
            this.remaining = past;
            this.action = action;
        }

        void release() {
            if (!released) {
                released = true;
                action.run();
            }
        }
    }

    private final Script script;
    private final List<Deviation> deviations;
    private final List<String> log;
    private final RawInvariants invariants = new RawInvariants();
    private final ScriptedServer server;
    private final PriorityQueue<Happening> happenings = new PriorityQueue<>(64);
    private final List<Member> pods = new ArrayList<>();
    private final List<ScriptedProcess> processes = new ArrayList<>();
    private final List<Runnable> atEnd = new ArrayList<>();
    private final Deviation.Message[] points = new Deviation.Message[MOST_POINTS];
    private long now;
    private long order;
    private boolean inPhase;
    private int pointCount;
    private int nextDeviation;
    /** What is planned and has not happened yet. */
    private int outstanding;
    private int steps;
    /** Whether a message that is held had to wait for the end. */
    private boolean exhausted;

    /**
     * @param deviations by point, in ascending order
     * @param log gets the event log; null for none, which is faster
     */
    ScriptedWorld(Script script, List<Deviation> deviations, List<String> log) {
        this.script = script;
        this.deviations = deviations;
        this.log = log;
        server = new ScriptedServer(this, invariants);
    }

    /** Plays the schedule; returns the violation that ended it, or null. */
    Violation play() {
        try {
            setUp();
            inPhase = true;
            log("script", script.toString());
            play(script.setUp() ? LEAD_IN : 0);
            script.during().accept(this);
            play(script.phase());
            inPhase = false;
            play(Script.RENEW.toNanos() / 2 + MS); // every call has timed out
            log("script", "the quiet period begins");
            List.copyOf(atEnd).forEach(action -> at(now, action));
            return untilAtRest();
        } catch (Violation violation) {
            return violation;
        } catch (RuntimeException thrown) {
            return new Violation("no exceptions", thrown + " at " + List.of(thrown.getStackTrace()).subList(0, 3));
        }
    }

    private void setUp() {
        if (script.setUp()) {
            startPods();
            play(SET_UP);
        }
        script.before().accept(this);
        Violation unsettled = script.setUp() ? invariants.unsettled(this) : null;
        if (unsettled != null) {
            throw unsettled;
        }
    }

    private Violation untilAtRest() {
        long end = now + LONGEST_QUIET;
        Violation last = null;
        while (now < end) {
            last = unsettled();
            if (last == null) {
                last = disturbedWithin(CALM);
                if (last == null) {
                    return null;
                }
            } else {
                play(CHECK);
            }
        }
        return last;
    }

    private Violation unsettled() {
        for (ScriptedProcess process : processes) {
            if (!process.isAtRest() || !process.isCandidate()) {
                return new Violation("rest", process + " is not at rest");
            }
            if (process.pod().removed) {
                return new Violation("exit", process + " runs on, but its pod is gone");
            }
        }
        return outstanding > 0 ? new Violation("rest", "pods are not at rest") : invariants.unsettled(this);
    }

    /** What a settled group does in that time without a reason; null if nothing. */
    private Violation disturbedWithin(long nanos) {
        int podWrites = invariants.podWrites();
        List<ScriptedProcess> before = List.copyOf(processes);
        int[] requests = before.stream().mapToInt(ScriptedProcess::requests).toArray();
        play(nanos);
        if (invariants.podWrites() > podWrites) {
            return new Violation("I6", "pods are written to without a reason");
        }
        int askers = 0;
        for (int i = 0; i < requests.length; i++) {
            int asked = before.get(i).requests() - requests[i];
            askers += asked > 0 ? 1 : 0;
            if (asked > nanos / Script.RETRY.toNanos() + 1) {
                return new Violation("idle", before.get(i) + " sends " + asked + " requests without a reason");
            }
        }
        boolean renewed = askers == 1;
        return renewed ? invariants.unsettled(this) : new Violation("idle", askers + " sidecars send requests, the leader should");
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    /** Has it all happen that happens within so many nanoseconds. */
    void play(long nanos) {
        long end = now + nanos;
        while (!happenings.isEmpty() && happenings.peek().time <= end) {
            Happening next = happenings.poll();
            now = next.time;
            next.action.run();
        }
        now = end;
    }

    /** Nanoseconds since the start. */
    long now() {
        return now;
    }

    Instant wallClock() {
        return EPOCH.plusNanos(now);
    }

    void at(long time, Runnable action) {
        happenings.add(new Happening(time, order++, action));
    }

    /** Something that is part of the script: the quiet period does not end before it has happened. */
    void after(long nanos, Runnable action) {
        outstanding++;
        at(now + nanos, () -> {
            outstanding--;
            action.run();
        });
    }

    /** When the phase is over and every call has timed out. */
    void atEnd(Runnable action) {
        atEnd.add(action);
    }

    /** Holds something until so many steps were taken at that place, but not beyond the end of the phase. */
    void hold(Holds place, int past, Runnable action) {
        Hold hold = new Hold(past, action);
        place.holds.add(hold);
        atEnd(() -> {
            exhausted |= !hold.released && past < Integer.MAX_VALUE;
            hold.release();
        });
    }

    // --- Points ------------------------------------------------------------------------------------------------------

    /**
     * A message is sent: what happens to it, if it is to be held, late or lost; null otherwise.
     *
     * @param what for the event log
     */
    Deviation point(Deviation.Message message, ScriptedProcess process, Object what) {
        if (!inPhase || pointCount == MOST_POINTS) {
            return null;
        }
        points[pointCount] = message;
        int point = pointCount++;
        if (nextDeviation == deviations.size() || deviations.get(nextDeviation).point() != point) {
            return null;
        }
        Deviation deviation = deviations.get(nextDeviation++);
        if (isLogging()) {
            log("DEVIATION", deviation + " " + message + " of " + process + ": " + show(what));
        }
        switch (deviation.kind()) {
            case CRASH -> at(now, process::kill);
            case SIGTERM -> at(now, process::stop);
            default -> {
                return deviation;
            }
        }
        return null;
    }

    private static String show(Object what) {
        return switch (what) {
            case Effect.Request request -> Simulation.show(request);
            case Reply reply -> Simulation.show(reply);
            case Event event -> Simulation.show(event);
            default -> what.toString();
        };
    }

    /** The messages of the phase, in the order in which they were sent. */
    Deviation.Message[] messages() {
        return Arrays.copyOf(points, pointCount);
    }

    /** Whether a message that is held had to wait for the end of the phase: holding it longer makes no difference. */
    boolean isExhausted() {
        return exhausted;
    }

    void step() {
        steps++;
    }

    int steps() {
        return steps;
    }

    // --- Pods and processes ------------------------------------------------------------------------------------------

    /** A pod and what its kubelet does. */
    final class Member {
        private final String name;
        private final String uid;
        private final int place;
        private ScriptedProcess process;
        private int containers;
        private boolean terminating;
        private boolean removed;
        private long pause = RESTART;

        Member(String name, int place) {
            this.name = name;
            this.place = place;
            this.uid = server.createPod(name);
        }

        String name() {
            return name;
        }

        String uid() {
            return uid;
        }

        int place() {
            return place;
        }

        /** Null while no container runs. */
        ScriptedProcess process() {
            return process;
        }

        void startContainer() {
            if (process == null && !terminating && !removed) {
                process = new ScriptedProcess(ScriptedWorld.this, this, ++containers);
                processes.add(process);
                process.start();
            }
        }

        /** The process is killed and starts again after that time. */
        void crash(long nanos) {
            if (process != null) {
                pause = nanos;
                process.kill();
                pause = RESTART;
            }
        }

        /** The process, if it runs, gets SIGTERM. */
        void stop() {
            if (process != null) {
                process.stop();
            }
        }

        private void remove() {
            if (!removed) {
                removed = true;
                pods.remove(this);
                server.deletePod(name, 0);
            }
        }
    }

    /** A process has ended. */
    void ended(ScriptedProcess process, boolean told) {
        Member pod = process.pod();
        processes.remove(process);
        pod.process = null;
        if (pod.terminating) {
            after(10 * MS, pod::remove);
        } else if (!pod.removed) {
            after(pod.pause, pod::startContainer);
        }
    }

    /** Creates the script's pods and starts their containers a little later, one after the other. */
    void startPods() {
        for (int place = 0; place < script.members(); place++) {
            create("web-" + place, place, MS + place * MS / 2);
        }
    }

    private void create(String name, int place, long pause) {
        Member pod = new Member(name, place);
        pods.add(pod);
        after(pause, pod::startContainer);
    }

    /** The pod of that name; null if there is none. */
    Member pod(String name) {
        for (Member pod : pods) {
            if (pod.name.equals(name)) {
                return pod;
            }
        }
        return null;
    }

    /** The labelled pod; any if none is. */
    Member leaderPod() {
        return pods.stream().filter(pod -> invariants.isLabelled(pod.name)).findFirst().orElse(pods.get(0));
    }

    /** One that is not. */
    Member followerPod() {
        return pods.stream().filter(pod -> !invariants.isLabelled(pod.name)).findFirst().orElseThrow();
    }

    void setReady(Member pod, boolean ready) {
        if (!pod.removed) {
            server.setReady(pod.name, ready);
        }
    }

    /** Graceful deletion of a Deployment's pod, whose process gets SIGTERM after that time; a pod of another name takes its place. */
    void delete(Member pod, long untilSigterm) {
        pod.terminating = true;
        server.deletePod(pod.name, 30);
        after(untilSigterm, () -> {
            pod.stop();
            if (pod.process == null) {
                pod.remove();
            }
        });
        int place = script.members();
        after(2 * MS, () -> create("web-" + place, place, 5 * MS));
    }

    /** The pod is removed by force while its process goes on; soon another pod has its name. */
    void replace(Member pod) {
        pod.remove();
        after(8 * MS, () -> create(pod.name, pod.place, 4 * MS));
    }

    /** etcd is restored from the backup. */
    void restore() {
        server.restore();
        processes.forEach(ScriptedProcess::restartWatches);
    }

    ScriptedServer server() {
        return server;
    }

    Script script() {
        return script;
    }

    /** News for all watches. */
    void push(Event event, boolean ofLease) {
        for (int i = 0; i < processes.size(); i++) {
            processes.get(i).watch(ofLease).push(event);
        }
    }

    // --- The event log -----------------------------------------------------------------------------------------------

    boolean isLogging() {
        return log != null;
    }

    void log(Object who, String what) {
        if (log != null) {
            log.add(String.format(Locale.ROOT, "%11.6f  %-10s %s", now / 1e9, who, what));
        }
    }
}
