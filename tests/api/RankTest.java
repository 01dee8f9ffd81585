import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Who takes a free Lease: Ready before not Ready, the newest first, the last holder last. */
@Patient
class RankTest {

    private static InMemoryServer server;

    @RegisterExtension
    final LocalGroups groups = new LocalGroups(() -> server);

    @BeforeAll
    static void startServer() {
        server = new InMemoryServer();
    }

    @AfterAll
    static void closeServer() {
        server.close();
    }

    // --- Order -------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void the_newest_pod_takes_the_lease() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        awaitNextSecond();
        group.start(2, 3);
        group.group().awaitLeader(Group.SOON);
        group.awaitIdle(old);

        group.sidecar(old).term();

        assertEquals("web-2", group.group().awaitLeaderOtherThan(old, Group.SOON));
    }

    @ConcurrentTest
    void a_pod_that_is_not_ready_does_not_even_try_while_one_is() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String unready = group.ranking(old).get(0);
        String ready = group.ranking(old).get(1);
        group.setReady(unready, false);
        group.awaitIdle(old);
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(ready, group.group().awaitLeaderOtherThan(old, Group.SOON));
        group.awaitRenewals(ready, 2);
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(unready)));
    }

    @ConcurrentTest
    void pods_that_are_not_ready_cost_those_that_are_no_time_however_many_and_new_they_are() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(old);
        awaitNextSecond();
        for (int i = 10; i < 40; i++) {
            group.createPod("web-" + i, false);
            group.group().editLabel("web-" + i, group.group().keys().leadership(), "false");
        }
        group.group().awaitLeader(Group.SOON); // who makes participants of them
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        long release = group.trace().first(place, old + ": PUT lease holder=").sentAt;
        long waited = group.trace().first(place, next + ": LIST pods").sentAt - release;
        assertTrue(waited < Duration.ofMillis(1000).toNanos(), waited + " ns; 30 steps were 1500 ms");
    }

    @ConcurrentTest
    void a_terminating_pod_does_not_take_the_lease() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String terminating = group.ranking(old).get(0);
        group.delete(terminating);
        group.awaitIdle(old);
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(group.ranking(old).get(0), group.group().awaitLeaderOtherThan(old, Group.SOON));
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(terminating)));
    }

    @ConcurrentTest
    void with_nobody_ready_one_still_leads_and_hands_over() {
        LocalGroup group = groups.empty(Group.CALM);
        group.createPod("web-0", false);
        group.createPod("web-1", false);
        group.start("web-0");
        group.start("web-1");
        String first = group.group().awaitLeader(Group.SOON);

        group.sidecar(first).term();

        group.group().awaitLeaderOtherThan(first, Duration.ofSeconds(10));
    }

    @ConcurrentTest
    void where_only_a_pod_with_a_dead_sidecar_is_ready_another_waits_a_retry_period_and_leads() {
        LocalGroup group = groups.elected(2, Group.FAST);
        String dead = group.group().awaitLeader(Group.SOON);
        String unready = group.group().otherThan(dead);
        group.setReady(unready, false);
        group.awaitRenewals(dead, 1);
        long renewed = group.witness().lease().orElseThrow().at();
        group.crash(dead);
        long place = group.trace().now();

        assertEquals(unready, group.group().awaitLeaderOtherThan(dead, Group.SOON));

        long waited = group.trace().first(place, unready + ": PUT lease holder=" + unready).sentAt - renewed;
        assertTrue(waited > Group.LEASE.plusMillis(500 - 250).toNanos(), "only " + waited + " ns");
    }

    @ConcurrentTest
    void a_ready_pod_with_a_dead_sidecar_costs_the_others_its_step_of_50_ms_and_no_more() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.ranking(old).get(1);
        group.crash(group.ranking(old).get(0));
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        long release = group.trace().first(place, old + ": PUT lease holder=").sentAt;
        long waited = group.trace().first(place, next + ": LIST pods").sentAt - release;
        assertTrue(waited >= Duration.ofMillis(50).toNanos(), "only " + waited + " ns");
        assertTrue(waited < Duration.ofMillis(1500).toNanos(), waited + " ns: less than the retry-period of 2 s");
    }

    /** Creation timestamps are in whole seconds. */
    private static void awaitNextSecond() {
        Instant begun = Instant.now();
        Wait.until("the next second has begun", Group.SOON, () -> Instant.now().getEpochSecond() > begun.getEpochSecond());
    }

    // --- The last holder -----------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_lease_emptied_by_hand_goes_to_another_pod() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        long before = group.witness().now();
        long place = group.trace().now();

        group.group().editLease(spec -> spec.setHolderIdentity(""));

        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);
        assertEquals(List.of(old + " off", next + " on"), group.movesSince(before));
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(old) && entry.is("PUT lease holder=" + old)));
    }

    @ConcurrentTest
    void a_single_replica_leads_again_after_its_lease_was_emptied_or_deleted() {
        LocalGroup group = groups.elected(1, Group.FAST);
        String claim = claim(group);

        group.group().editLease(spec -> spec.setHolderIdentity(""));
        awaitAnotherClaim(group, claim);
        group.group().awaitLeader(Group.SOON);

        String second = claim(group);
        group.group().deleteLease();
        awaitAnotherClaim(group, second);
        group.group().awaitLeader(Group.SOON);

        group.crash("web-0");
        String third = claim(group);
        group.start("web-0");
        awaitAnotherClaim(group, third);
        group.group().awaitLeader(Group.SOON);
        assertEquals(List.of("web-0 on"), group.movesSince(0), "its label is never off: nobody else leads");
    }

    private static String claim(LocalGroup group) {
        return group.witness().lease().orElseThrow().claim();
    }

    private static void awaitAnotherClaim(LocalGroup group, String claim) {
        group.group().await("the lease is won anew", Group.SOON, () -> group.witness().lease()
                .filter(lease -> lease.claim() != null && !lease.claim().equals(claim)).isPresent());
    }
}
