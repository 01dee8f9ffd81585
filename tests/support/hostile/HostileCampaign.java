import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.BooleanSupplier;

/**
 * Groups that elect, hand over, crash and come back while faults are drawn for them, each in rounds of its own, until enough have hit a
 * live request. After each round the faults stop, and the group has to have a leader again within {@link #RECOVERY}. Once, in the middle,
 * the API server itself is restarted under all of them.
 *
 * <p>Everything is drawn from the seed, the number of the group and that of the round: a seed replays the same draw, if not the same
 * interleaving.
 */
final class HostileCampaign {

    /** After the last fault: lease-duration and five seconds. */
    static final Duration RECOVERY = Group.LEASE.plusSeconds(5);
    /** Each of these has to be hit {@link #HITS_PER_PHASE} times. */
    static final Set<RequestPhase> AIMED_AT = Set.of(RequestPhase.ACQUIRE, RequestPhase.FENCE,
            RequestPhase.PROMOTE, RequestPhase.RELEASE);
    static final int HITS_PER_PHASE = 20;

    /** Outages hit whatever comes, again and again: they are shown, but a campaign gets no nearer to its goal by them. */
    private static final Set<String> NOT_COUNTED = Set.of("server down", "refused", "expired token", "slow server");
    /** Twice what a sidecar takes at most, since the machine is busy when the API server starts. */
    private static final Duration EXIT = Duration.ofSeconds(10);

    /** What happens to a group besides the faults. */
    private enum Happening {
        HAND_OVER, LONELY_HAND_OVER, CRASH, CRASHED_SUCCESSOR, REPLACED_POD, STRIPPED_POD, LEASE_RELEASED_BY_HAND, LEASE_DELETED,
        UNREACHABLE_LEADER, UNREACHABLE_GROUP, EXPIRED_TOKEN, SLOW_SERVER
    }

    private static final List<Happening> HAPPENINGS = new ArrayList<>(List.of(Happening.values()));

    static {
        HAPPENINGS.addAll(Collections.nCopies(5, Happening.HAND_OVER));
        HAPPENINGS.addAll(List.of(Happening.CRASH, Happening.CRASH, Happening.CRASHED_SUCCESSOR));
    }

    /** How long after the last fault of a round all was well again. */
    private record Recovery(long nanos, String round) {}

    private final RealServer server;
    private final List<HostileGroup> groups;
    private final long seed;
    private final int faults;
    private final long deadline;
    /** Written while the API server is away, read by whoever talks to it without a proxy. */
    private final ReadWriteLock restart = new ReentrantReadWriteLock();
    private volatile long serverBackAt;
    private volatile boolean serverAway;
    private volatile boolean restarted;
    private final ConcurrentLinkedQueue<Recovery> recoveries = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<String> story = new ConcurrentLinkedQueue<>();
    private final long started = System.nanoTime();

    /**
     * Does nothing yet.
     *
     * @param groups of which each has a leader
     * @param faults how many have to hit a live request
     * @param limit for all of it, before which that has to have happened
     */
    HostileCampaign(RealServer server, List<HostileGroup> groups, long seed, int faults, Duration limit) {
        this.server = server;
        this.groups = groups;
        this.seed = seed;
        this.faults = faults;
        this.deadline = System.nanoTime() + limit.toNanos();
        this.restarted = !server.canStop();
    }

    /** Runs it to its end; fails as soon as a group does not recover. Last, all sidecars take over, hand over and leave, as asked. */
    void run() {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> rounds = new ArrayList<>();
            for (int i = 0; i < groups.size(); i++) {
                int number = i;
                rounds.add(threads.submit(() -> {
                    rounds(number);
                    leaveOneByOne(groups.get(number));
                }));
            }
            if (server.canStop()) {
                Wait.until("half of the faults", Duration.ofNanos(deadline - System.nanoTime()), () -> counted().total() >= faults / 2
                        || rounds.stream().anyMatch(Future::isDone));
                restartServer();
            }
            for (Future<?> each : rounds) {
                each.get();
            }
        } catch (ExecutionException failed) {
            throw new AssertionError(failed.getCause().getMessage() + "\n" + this, failed.getCause());
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    /** Nobody was left deaf, or without a chance. */
    private static void leaveOneByOne(HostileGroup group) {
        while (!group.pods().isEmpty()) {
            group.await("one of the remaining leads", () -> group.group().unsettled().isEmpty()
                    && group.pods().contains(group.witness().lease().orElseThrow().holder()));
            assertEquals(0, group.stop(group.leaderOrAny()).exitCode(EXIT), "exit code");
        }
    }

    private void restartServer() {
        restart.writeLock().lock();
        try {
            serverAway = true;
            server.stopServer();
            server.startServer();
            serverBackAt = System.nanoTime();
            serverAway = false;
            restarted = true;
        } finally {
            restart.writeLock().unlock();
        }
    }

    // --- Rounds ------------------------------------------------------------------------------------------------------

    private void rounds(int number) {
        HostileGroup group = groups.get(number);
        for (int round = 0; !isGoalReached(); round++) {
            assertTrue(System.nanoTime() < deadline, "the goal was not reached in time");
            Draw draw = new Draw((seed * 1_000 + number) * 1_000 + round);
            FaultPlan plan = FaultPlan.draw(draw, AIMED_AT);
            Happening happening = draw.one(HAPPENINGS);
            story.add("%,9d ms, round %d.%d: %s %s".formatted((System.nanoTime() - started) / 1_000_000, number, round, happening, plan));
            group.faults(plan::meet);
            strikeSomeWatches(group, draw);
            happen(group, happening, plan, draw);
            long happened = System.nanoTime();
            awaitOrGiveUp(() -> plan.isOver(AIMED_AT), Duration.ofMillis(draw.between(500, 4000)));
            group.noFaults();
            startMissing(group);
            awaitRecovery(group, happened, number + "." + round + " " + happening);
        }
    }

    private boolean isGoalReached() {
        FaultLog.Tally counted = counted();
        return restarted && counted.total() >= faults && AIMED_AT.stream().allMatch(phase -> counted.of(phase) >= HITS_PER_PHASE);
    }

    private static void strikeSomeWatches(HostileGroup group, Draw draw) {
        for (String pod : group.pods()) {
            if (draw.chance(0.4)) {
                group.proxy(pod).strikeWatches(FaultPlan.drawForOpenWatch(draw));
            }
        }
    }

    private void happen(HostileGroup group, Happening happening, FaultPlan plan, Draw draw) {
        String leader = group.leaderOrAny();
        Duration time = Duration.ofMillis(draw.spread(300, 4000));
        switch (happening) {
            case HAND_OVER -> assertEquals(0, group.stop(leader).exitCode(EXIT), "exit code");
            case LONELY_HAND_OVER -> {
                group.podsOtherThan(leader).forEach(pod -> group.proxy(pod).refuse());
                assertEquals(0, group.stop(leader).exitCode(EXIT), "exit code");
                group.pods().forEach(pod -> group.proxy(pod).accept());
            }
            case CRASH -> {
                group.crash(leader);
                if (draw.chance(0.5)) {
                    group.startSidecar(leader);
                }
            }
            case CRASHED_SUCCESSOR -> crashSuccessor(group, leader, plan, draw);
            case REPLACED_POD -> replace(group, leader);
            case STRIPPED_POD -> byHand(() -> strip(group, draw.one(group.pods()), draw));
            case LEASE_RELEASED_BY_HAND -> byHand(() -> group.group().editLease(spec -> spec.setHolderIdentity("")));
            case LEASE_DELETED -> byHand(group.group()::deleteLease);
            case UNREACHABLE_LEADER -> unreachable(group, List.of(leader), time);
            case UNREACHABLE_GROUP -> unreachable(group, group.pods(), time);
            case EXPIRED_TOKEN -> {
                group.expireToken(leader);
                pass(time);
                group.renewToken(leader);
            }
            case SLOW_SERVER -> {
                HttpFault slow = new HttpFault.Slow(Duration.ofMillis(draw.spread(100, 3000)));
                group.faults(request -> plan.meet(request).or(() -> Optional.of(slow)));
                pass(time);
            }
        }
    }

    private void replace(HostileGroup group, String pod) {
        awaitOrGiveUp(group.sidecar(pod)::isRegistered, EXIT);
        byHand(() -> group.replacePod(pod));
    }

    /** The next leader's promotion is on its way for longer than its lease, while it crashes and a third one leads. */
    private static void crashSuccessor(HostileGroup group, String leader, FaultPlan plan, Draw draw) {
        HttpFault late = new HttpFault.Delay(Duration.ofMillis(draw.between(4000, 6000)));
        plan.first(RequestPhase.PROMOTE, late);
        InProcessSidecar leaving = group.stop(leader);
        awaitOrGiveUp(() -> !plan.isWaiting(late), EXIT);
        String successor = group.leaderOrAny();
        group.crash(successor);
        assertEquals(0, leaving.exitCode(EXIT), "exit code");
        awaitOrGiveUp(() -> group.group().unsettled().isEmpty() && !group.witness().lease().orElseThrow().holder().equals(successor), EXIT);
    }

    private static void strip(HostileGroup group, String pod, Draw draw) {
        Witness.Keys keys = group.group().keys();
        if (draw.chance(0.3)) {
            group.group().editEpoch(pod, null);
        } else {
            group.group().editLabel(pod, draw.one(List.of(keys.leadership(), keys.participation())), null);
        }
    }

    private void byHand(Runnable edit) {
        restart.readLock().lock();
        try {
            edit.run();
        } finally {
            restart.readLock().unlock();
        }
    }

    private static void unreachable(HostileGroup group, List<String> pods, Duration time) {
        pods.forEach(pod -> group.proxy(pod).refuse());
        pass(time);
        pods.forEach(pod -> group.proxy(pod).accept());
    }

    private static void pass(Duration time) {
        long since = System.nanoTime();
        Wait.until("time passes", time.multipliedBy(10), () -> System.nanoTime() - since > time.toNanos());
    }

    private static void awaitOrGiveUp(BooleanSupplier condition, Duration patience) {
        long since = System.nanoTime();
        Wait.until("it happens, or not", patience.multipliedBy(10),
                () -> condition.getAsBoolean() || System.nanoTime() - since > patience.toNanos());
    }

    private static void startMissing(HostileGroup group) {
        group.witness().pods().keySet().stream().filter(pod -> !group.pods().contains(pod)).forEach(group::startSidecar);
    }

    private void awaitRecovery(HostileGroup group, long happened, String round) {
        for (Optional<String> wrong = group.group().unsettled(); wrong.isPresent(); wrong = group.group().unsettled()) {
            if (sinceTrouble(group, happened) > RECOVERY.toNanos()) {
                throw new AssertionError("round " + round + ": " + RECOVERY.toSeconds() + " s after the last fault: " + wrong.get());
            }
            pass(Duration.ofMillis(10));
        }
        recoveries.add(new Recovery(sinceTrouble(group, happened), round));
    }

    /** Nanoseconds since the last fault, or what else happened, was over; 0 if something still lasts. */
    private long sinceTrouble(HostileGroup group, long happened) {
        long last = Math.max(happened, Math.max(serverBackAt, group.log().lastFault()));
        return serverAway ? 0 : Math.max(0, System.nanoTime() - last);
    }

    // --- Afterwards --------------------------------------------------------------------------------------------------

    /** All faults that hit a live request so far. */
    FaultLog.Tally tally() {
        FaultLog.Tally sum = new FaultLog.Tally();
        groups.forEach(group -> sum.add(group.log().tally()));
        return sum;
    }

    /** Those of them that count: all but what outages do to whatever comes. */
    FaultLog.Tally counted() {
        return tally().without(NOT_COUNTED);
    }

    /** What came of it, for people. */
    String summary() {
        List<Recovery> sorted = recoveries.stream().sorted(Comparator.comparing(Recovery::nanos)).toList();
        String times = sorted.isEmpty() ? "never" : "median %d ms, worst %d ms (round %s)".formatted(
                sorted.get(sorted.size() / 2).nanos() / 1_000_000, sorted.getLast().nanos() / 1_000_000, sorted.getLast().round());
        int busiest = groups.stream().mapToInt(group -> group.log().busiestSecond()).max().orElse(0);
        return """
                hostile campaign with seed %d: %d faults that count, %d in all, in %d rounds of %d groups and %.1f s
                all well again after the last fault: %s; busiest second of a sidecar: %d requests
                %s""".formatted(seed, counted().total(), tally().total(), sorted.size(), groups.size(),
                (System.nanoTime() - started) / 1e9, times, busiest, tally());
    }

    /** The same, and the draws of all rounds. */
    @Override
    public String toString() {
        return summary() + "\n" + String.join("\n", story);
    }
}
