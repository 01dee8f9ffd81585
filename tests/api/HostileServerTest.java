import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * What sidecars do when a real API server, or the way to it, is slow, overloaded, broken, lying or away: see {@link HttpFault}. Every group
 * is checked afterwards: see {@link HostileGroup#check}.
 */
@Real
@Patient.WithProcesses
class HostileServerTest {

    /** Of a leader that nothing keeps from renewing: retry-period. */
    private static final Duration RENEWAL_INTERVAL = Duration.ofMillis(500);
    /** What a busy machine may add to a time that is measured. */
    private static final Duration SLACK = Duration.ofMillis(700);

    private static final Queue<Throwable> UNCAUGHT = new ConcurrentLinkedQueue<>();

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    @BeforeAll
    static void catchAll() {
        Thread.setDefaultUncaughtExceptionHandler((thread, uncaught) -> {
            uncaught.printStackTrace();
            UNCAUGHT.add(uncaught);
        });
    }

    /** An exception that a thread of a sidecar died of is a stack trace in its log. */
    @AfterAll
    static void check() {
        Thread.setDefaultUncaughtExceptionHandler(null);
        assertEquals(List.of(), List.copyOf(UNCAUGHT), "exceptions that nobody caught");
    }

    // --- Answers that are lost, late or nonsense -----------------------------------------------------------------------

    @ConcurrentTest
    void a_release_whose_reply_is_lost_is_confirmed_before_anyone_waits() {
        for (HttpFault lost : List.of(new HttpFault.ResetAfter(), new HttpFault.Truncate(), new HttpFault.Garbage("<html>"))) {
            HostileGroup group = groups.hostile(3);
            String old = group.awaitLeader();
            long before = group.witness().now();
            group.meet(RequestPhase.RELEASE, lost);

            assertEquals(0, group.stop(old).exitCode(Group.SOON));

            assertHandedOver(group, before, old);
            // OkHttp by itself sends a request again whose connection broke; the API server refuses it. While the successor is slow, the
            // process looks again and again what became of the Lease.
            List<String> steps = releaseOf(group, old).stream().filter(step -> !step.equals("RELEASE 409")).distinct().toList();
            assertEquals(List.of("RELEASE 200", "GET 200"), steps, "it looks whether the release was executed, and sees that it was");
            assertEquals(1, releaseOf(group, old).stream().filter("RELEASE 200"::equals).count(), "it releases the Lease once");
        }
    }

    @ConcurrentTest
    void a_promotion_that_arrives_after_the_next_leader_won_is_refused() {
        RequestPhase write = RequestPhase.PROMOTE;
        HostileGroup group = groups.hostile(3);
        String first = group.awaitLeader();
        CompletableFuture<Void> late = new CompletableFuture<>();
        FaultPlan plan = group.meet(write, new HttpFault.Hold(late));
        group.stop(first);
        group.await("the write is on its way", () -> plan.isOver(Set.of(write)));
        String second = group.witness().lease().orElseThrow().holder();
        group.crash(second);
        String third = group.awaitLeaderOtherThan(second);
        long before = group.witness().now();

        late.complete(null);

        group.await("the write is answered", () -> group.exchanges(second, write).stream().anyMatch(e -> e.fault() != null));
        assertEquals(409, group.exchanges(second, write).stream().filter(e -> e.fault() != null).findFirst().orElseThrow().status());
        group.awaitRenewals(third, 2);
        assertEquals(List.of(), group.witness().writesSince(before));
    }

    @ConcurrentTest
    void a_fence_that_hangs_does_not_delay_the_others() {
        HostileGroup group = groups.hostile(4);
        CompletableFuture<Void> late = new CompletableFuture<>();
        group.meet(RequestPhase.FENCE, new HttpFault.Hold(late));
        String old = group.awaitLeader();

        group.stop(old);

        group.await("the other fence is answered", () -> group.pods().stream()
                .anyMatch(pod -> group.exchanges(pod, RequestPhase.FENCE).stream().anyMatch(e -> e.status() == 200)));
        late.complete(null);
        group.awaitLeaderOtherThan(old);
    }

    @ConcurrentTest
    void a_renewal_whose_answer_is_nonsense_or_cut_off_costs_an_epoch_and_no_label() {
        HostileGroup group = groups.hostile(2);
        String leader = group.awaitLeader();
        long before = group.witness().now();
        for (HttpFault nonsense : nonsense()) {
            FaultPlan plan = group.meet(RequestPhase.RENEW, nonsense).then(RequestPhase.GET, nonsense);
            group.await("a renewal answered with " + nonsense, () -> plan.isOver(Set.of(RequestPhase.RENEW, RequestPhase.GET)));
            group.awaitRenewals(leader, 2);
        }

        assertEquals(leader, group.witness().lease().orElseThrow().holder());
        assertEquals(List.of(), group.witness().movesSince(before));
        long wins = group.witness().leasesSince(before).stream().map(Witness.LeaseRevision::acquireTime).distinct().count();
        assertTrue(wins <= 1 + nonsense().size(), wins + " wins, though an answer costs one at most");
    }

    private static List<HttpFault> nonsense() {
        List<HttpFault> nonsense = new ArrayList<>(FaultPlan.GARBAGE.stream().map(HttpFault.Garbage::new).toList());
        nonsense.add(new HttpFault.Truncate());
        return nonsense;
    }

    /** The group checks that the process did not end, and that its log shows no stack trace. */
    @ConcurrentTest
    void a_process_among_nonsense_says_so_in_a_few_lines_and_goes_on() {
        HostileGroup group = groups.emptyHostile(Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(500));
        group.group().createPod("web-0");
        FaultProxy proxy = group.startProcess("web-0");
        AtomicInteger count = new AtomicInteger();
        proxy.faults(request -> Optional.of(nonsense().get(count.getAndIncrement() % nonsense().size())));
        group.await("a hundred times nonsense", () -> group.log().hits() >= 100);

        proxy.faults(request -> Optional.empty());

        assertEquals("web-0", group.awaitLeader());
        String log = group.group().sidecar("web-0").log();
        long warnings = log.lines().filter(line -> line.contains("WARN")).count();
        assertTrue(warnings >= 1 && warnings <= 10, log);
        assertEquals(0, group.group().term("web-0").exitCode(Group.SOON));
    }

    @ConcurrentTest
    void a_pod_is_not_gone_because_a_load_balancer_does_not_find_it() {
        HostileGroup group = groups.hostile(2);
        String leader = group.awaitLeader();
        String claim = group.witness().lease().orElseThrow().claim();
        FaultPlan plan = new FaultPlan().then(RequestPhase.PROMOTE, new HttpFault.Refuse(500, 0))
                .then(RequestPhase.GET, new HttpFault.Refuse(404, 0));
        group.proxy(leader).faults(plan::meet);

        group.group().editLabel(leader, group.group().keys().leadership(), "maybe");

        group.await("the leader looks for its pod in vain", () -> plan.isOver(Set.of(RequestPhase.GET)));
        assertEquals(leader, group.awaitLeader());
        assertEquals(claim, group.witness().lease().orElseThrow().claim());
    }

    // --- Refusals ------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void retry_after_is_honoured_for_the_lease_and_the_lead_is_kept() {
        HostileGroup group = groups.hostile(2);
        String leader = group.awaitLeader();
        String claim = group.witness().lease().orElseThrow().claim();
        FaultPlan plan = group.meet(RequestPhase.RENEW, new HttpFault.Refuse(429, 1));

        group.await("a renewal is refused", () -> plan.isOver(Set.of(RequestPhase.RENEW)));

        assertPaused(group, leader, RequestPhase.RENEW);
        assertEquals(claim, group.witness().lease().orElseThrow().claim());
    }

    @ConcurrentTest
    void retry_after_is_honoured_for_pods() {
        HostileGroup group = groups.hostile(2);
        String old = group.awaitLeader();
        HttpFault busy = new HttpFault.Refuse(429, 1);
        group.meet(RequestPhase.LIST, busy).then(RequestPhase.FENCE, new HttpFault.Refuse(503, 1)).then(RequestPhase.PROMOTE, busy);

        group.stop(old);

        String next = group.awaitLeaderOtherThan(old);
        for (RequestPhase phase : List.of(RequestPhase.LIST, RequestPhase.FENCE, RequestPhase.PROMOTE)) {
            assertPaused(group, next, phase);
        }
    }

    @ConcurrentTest
    void retry_after_is_honoured_for_watches() {
        HostileGroup group = groups.hostile(2);
        String follower = group.podsOtherThan(group.awaitLeader()).getFirst();
        HttpFault busy = new HttpFault.Refuse(429, 1);
        FaultPlan plan = group.meet(RequestPhase.WATCH, busy, busy);

        group.strikeWatches(follower, new HttpFault.ResetAfter());

        group.await("both watches are refused", () -> plan.isOver(Set.of(RequestPhase.WATCH)));
        assertPaused(group, follower, RequestPhase.WATCH);
        group.awaitWatches(follower);
    }

    /** Whoever was told to stay away came again, and not too early. */
    private static void assertPaused(HostileGroup group, String pod, RequestPhase phase) {
        group.await("the refusal of a " + phase + " of " + pod + " is noted", () -> !refused(group, pod, phase).isEmpty());
        for (FaultLog.Exchange refused : refused(group, pod, phase)) {
            group.await(pod + " asks for " + refused.request().object() + " again", () -> !later(group, refused).isEmpty());
        }
        assertEquals(List.of(), group.log().disobedience());
    }

    private static List<FaultLog.Exchange> refused(HostileGroup group, String pod, RequestPhase phase) {
        return group.exchanges(pod, phase).stream().filter(e -> e.fault() instanceof HttpFault.Refuse).toList();
    }

    private static List<FaultLog.Exchange> later(HostileGroup group, FaultLog.Exchange than) {
        return group.log().exchanges(e -> e.request().client().equals(than.request().client())
                && e.request().object().equals(than.request().object()) && e.request().at() > than.answeredAt());
    }

    @ConcurrentTest
    void a_leader_whose_token_has_expired_is_replaced_and_follows_with_a_new_one() {
        HostileGroup group = groups.hostile(3);
        String old = group.awaitLeader();
        group.expireToken(old);
        group.await("another pod than " + old + " holds the Lease", () -> !group.witness().lease().orElseThrow().holder().equals(old));
        assertFalse(group.sidecar(old).claimsToLead(), "what " + old + " tells its application when somebody else leads");
        String next = group.awaitLeaderOtherThan(old);
        long before = group.witness().now();

        group.renewToken(old);

        group.awaitWatches(old);
        group.awaitRenewals(next, 3);
        assertEquals(List.of(), group.witness().writesSince(before));
    }

    // --- Outages -------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void an_outage_costs_few_requests_that_back_off_with_jitter() {
        HostileGroup group = groups.hostile(3);
        group.awaitLeader();
        long begun = System.nanoTime();
        group.faults(request -> Optional.of(new HttpFault.Refuse(503, 0)));
        group.pods().forEach(pod -> group.proxy(pod).strikeWatches(new HttpFault.ResetAfter()));

        for (String object : List.of("the Lease", "watch of the Lease", "watch of the pods")) {
            group.await("each asks eighteen times for " + object, () -> refused(group, object, begun).values().stream()
                    .filter(times -> times.size() >= 18).count() == 3);
        }
        group.noFaults();

        for (String object : List.of("the Lease", "watch of the Lease", "watch of the pods")) {
            refused(group, object, begun).forEach((client, times) -> assertBacksOff(client + " asked for " + object, times));
            assertJitters(object, refused(group, object, begun).values());
        }
        group.awaitLeader();
    }

    /** When each sidecar asked for an object and was refused, since a time. */
    private static Map<String, List<Long>> refused(HostileGroup group, String object, long since) {
        return group.log().exchanges(e -> e.request().at() > since && e.fault() instanceof HttpFault.Refuse).stream()
                .map(FaultLog.Exchange::request).filter(request -> request.object().equals(object))
                .collect(Collectors.groupingBy(ProxiedRequest::client, Collectors.mapping(ProxiedRequest::at, Collectors.toList())));
    }

    /** At most five times in the first second, then on average not more often than every 500 ms. */
    private static void assertBacksOff(String who, List<Long> asked) {
        long millis = (asked.getLast() - asked.getFirst()) / 1_000_000;
        assertTrue(asked.size() <= 5 + millis / 500, who + " " + asked.size() + " times in " + millis + " ms");
    }

    /**
     * A fifth of 500 ms, evenly drawn, puts the median of the gaps about 50 ms above the shortest. What a busy machine adds by accident
     * makes some gaps longer, but leaves half of them within some milliseconds.
     */
    private static void assertJitters(String object, Collection<List<Long>> asked) {
        long[] gaps = asked.stream().flatMapToLong(HostileServerTest::lateGaps).sorted().toArray();
        assertTrue(gaps[gaps.length / 2] - gaps[0] >= 20,
                object + " was asked for without jitter, with gaps of " + Arrays.toString(gaps) + " ms");
    }

    /** Milliseconds between one request and the next, without the first five, which come faster. */
    private static LongStream lateGaps(List<Long> times) {
        return IntStream.range(6, times.size()).mapToLong(i -> (times.get(i) - times.get(i - 1)) / 1_000_000);
    }

    @ConcurrentTest
    void a_leader_that_finds_nobody_to_connect_to_is_replaced_and_follows_afterwards() {
        HostileGroup group = groups.hostile(3);
        String old = group.awaitLeader();
        long begun = System.nanoTime();
        group.proxy(old).refuse();

        String next = group.awaitLeaderOtherThan(old);
        long attempts = group.log().attemptsSince(group.proxy(old).client(), begun);
        double seconds = (System.nanoTime() - begun) / 1e9;
        assertTrue(attempts >= 5 && attempts <= 20 + 12 * seconds, attempts + " requests in " + seconds + " s");
        long before = group.witness().now();
        group.proxy(old).accept();

        group.awaitWatches(old);
        group.awaitRenewals(next, 3);
        assertEquals(List.of(), group.witness().writesSince(before));
    }

    @ConcurrentTest
    void a_server_that_is_slow_with_everything_is_endured() {
        HostileGroup group = groups.emptyHostile(Duration.ofSeconds(9), Duration.ofSeconds(6), Duration.ofMillis(500));
        group.start(3);
        String leader = group.awaitLeader();
        String claim = group.witness().lease().orElseThrow().claim();
        long before = group.witness().now();

        group.faults(request -> Optional.of(new HttpFault.Slow(Duration.ofSeconds(1))));
        group.awaitRenewals(leader, 6);

        assertEquals(claim, group.witness().lease().orElseThrow().claim());
        assertEquals(List.of(), group.witness().writesSince(before));
    }

    // --- Watches -------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_half_open_watch_delays_a_hand_over_by_at_most_three_renewal_intervals() {
        assertDelayed(() -> {
            HostileGroup group = groups.hostile(3);
            String old = silence(group);
            long before = group.witness().now();
            group.stop(old);
            group.awaitLeaderOtherThan(old);
            return group.witness().movesSince(before).getLast().at() - released(group, before).at();
        });
    }

    /** All watches but the leader's deliver nothing any more, and have missed a renewal; returns the leader. */
    private static String silence(HostileGroup group) {
        String leader = group.awaitLeader();
        group.podsOtherThan(leader).forEach(pod -> group.strikeWatches(pod, new HttpFault.Silence()));
        group.awaitRenewals(leader, 1);
        return leader;
    }

    /** Measures until the delay is as short as it must be, but three times at most: a busy machine may stand still for a second. */
    private static void assertDelayed(LongSupplier delay) {
        long shortest = Long.MAX_VALUE;
        for (int i = 0; i < 3 && shortest > RENEWAL_INTERVAL.multipliedBy(3).plus(SLACK).toNanos(); i++) {
            shortest = Math.min(shortest, delay.getAsLong());
        }
        assertAtMost(RENEWAL_INTERVAL.multipliedBy(3).plus(SLACK), shortest, "delay by half-open watches");
    }

    @ConcurrentTest
    void a_half_open_watch_is_begun_anew_while_the_leader_leads() {
        HostileGroup group = groups.hostile(3);
        String leader = group.awaitLeader();
        long before = group.witness().now();

        strikeAllAndAwaitNewWatches(group, new HttpFault.Silence());

        assertEquals(List.of(), group.witness().movesSince(before));
        assertHandsOverByEvent(group, leader);
    }

    @ConcurrentTest
    void a_watch_whose_version_is_gone_is_begun_anew() {
        HostileGroup group = groups.hostile(3);
        String leader = group.awaitLeader();
        HttpFault gone = new HttpFault.Refuse(410, 0);
        FaultPlan plan = group.meet(RequestPhase.WATCH, gone, gone);

        strikeAllAndAwaitNewWatches(group, new HttpFault.Expire());

        assertTrue(plan.isOver(Set.of(RequestPhase.WATCH)), "the new ones were answered 410, too");
        assertHandsOverByEvent(group, leader);
    }

    @ConcurrentTest
    void a_watch_that_breaks_or_brings_nonsense_is_begun_anew() {
        HostileGroup group = groups.hostile(3);
        String leader = group.awaitLeader();

        nonsense().forEach(nonsense -> strikeAllAndAwaitNewWatches(group, nonsense));

        assertHandsOverByEvent(group, leader);
    }

    /** Strikes both watches of each sidecar, and waits until as many were begun since. */
    private static void strikeAllAndAwaitNewWatches(HostileGroup group, HttpFault fault) {
        long begun = System.nanoTime();
        group.pods().forEach(pod -> group.strikeWatches(pod, fault));
        group.await("new watches after " + fault, () -> group.pods().stream().allMatch(pod -> group.exchanges(pod, RequestPhase.WATCH)
                .stream().filter(e -> e.status() == 200 && e.request().at() > begun).count() >= 2));
    }

    /** The next leader saw the release on its watch: it asked for the group first. Without a watch it would have asked for the Lease first. */
    private static void assertHandsOverByEvent(HostileGroup group, String old) {
        group.stop(old);
        String next = group.awaitLeaderOtherThan(old);
        FaultLog.Exchange release = group.exchanges(old, RequestPhase.RELEASE).getLast();
        List<RequestPhase> steps = group.log().exchanges(e -> e.request().pod().equals(next) && e.request().at() > release.request().at())
                .stream().map(e -> e.request().phase()).toList();
        assertEquals(RequestPhase.LIST, steps.getFirst(), "of " + steps);
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    private static void assertAtMost(Duration limit, long nanos, String what) {
        assertTrue(nanos <= limit.toNanos(), what + ": " + nanos / 1_000_000 + " ms, of at most " + limit.toMillis());
    }

    /** What a sidecar asked of the Lease since it began to release it: phases with the API server's answers. */
    private static List<String> releaseOf(HostileGroup group, String pod) {
        return group.log().exchanges(e -> e.request().pod().equals(pod) && e.request().object().equals("the Lease")).stream()
                .map(e -> e.request().phase() + " " + e.status()).dropWhile(step -> !step.startsWith("RELEASE")).toList();
    }

    /** The revision by which the Lease was given back. */
    private static Witness.LeaseRevision released(HostileGroup group, long after) {
        return group.witness().leasesSince(after).stream().filter(lease -> lease.holder().isEmpty()).findFirst().orElseThrow();
    }

    /** The label moved once, by two adjacent pod writes; returns to whom. */
    private static String assertHandedOver(HostileGroup group, long before, String old) {
        String next = group.awaitLeaderOtherThan(old);
        List<Witness.Move> moves = group.witness().movesSince(before);
        assertEquals(List.of(old + " off", next + " on"), moves.stream().map(Witness.Move::toString).toList());
        assertEquals(moves.get(0).index() + 1, moves.get(1).index(), "off and on are adjacent");
        return next;
    }
}
