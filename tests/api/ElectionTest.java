import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What sidecar processes do on a real API server: elect, label, hand over, take over, come back. */
@Real
class ElectionTest {

    /** How long a leader may take to exit whose successor is there. */
    private static final Duration EXIT_WITH_SUCCESSOR = Duration.ofSeconds(1);
    /** The same without a successor. */
    private static final Duration EXIT_ALONE = Duration.ofSeconds(3);

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    // --- Election ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void three_sidecars_elect_one_leader_and_label_all_pods() {
        Group group = groups.elected(3, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);

        assertEquals(1, Collections.frequency(List.copyOf(group.labels().values()), "true"), group.labels().toString());
        assertEquals("true", group.labels().get(leader));
        assertEquals(List.of(leader + " on"), moves(group, 0));
        Map<String, Long> writes = group.witness().writesSince(0).stream()
                .collect(Collectors.groupingBy(Witness.PodRevision::name, Collectors.counting()));
        assertEquals(Set.of(2L), Set.copyOf(writes.values()), "first patch, then the leader's: " + writes);
    }

    @ConcurrentTest
    void changes_of_leader_are_kubernetes_events_on_the_lease() {
        Group group = groups.elected(2, Group.FAST);
        String first = group.awaitLeader(Group.SOON);
        group.await("an event of the election", Group.SOON, () -> group.eventsOnLease().contains(first + " became leader"));

        group.term(first);
        String second = group.awaitLeaderOtherThan(first, Group.SOON);

        group.await("events of the hand-over", Group.SOON, () -> group.eventsOnLease()
                .containsAll(List.of(first + " stopped leading", second + " became leader")));
    }

    @ConcurrentTest
    void a_single_replica_leads_and_leads_again_after_each_end() {
        Group group = groups.elected(1, Group.FAST);
        String only = group.awaitLeader(Group.SOON);

        assertEquals(0, group.term(only).exitCode(EXIT_ALONE));
        group.witness().catchUp();
        assertEquals(Map.of(only, "false"), group.labels());
        group.startSidecar(only);
        group.awaitLeader(Group.START);

        group.kill(only);
        group.startSidecar(only).awaitLog("became leader", Group.START);
        group.awaitLeader(Group.SOON);
        assertEquals(List.of(only + " on", only + " off", only + " on"), moves(group, 0));
    }

    @ConcurrentTest
    void two_elections_share_a_namespace_and_a_leadership_label() {
        String namespace = RealServer.shared().newNamespace();
        List<String> flags = new ArrayList<>(Group.FAST);
        flags.add("--leadership-label=example.com/leader");
        Group one = groups.empty(namespace, "one", flags);
        Group two = groups.empty(namespace, "two", flags);
        groups.elect(one, 2);
        groups.elect(two, 2);
        String leaderOfOne = one.awaitLeader(Group.SOON);
        String leaderOfTwo = two.awaitLeader(Group.SOON);
        long before = two.witness().now();

        one.term(leaderOfOne).exitCode(Group.SOON);
        one.awaitLeaderOtherThan(leaderOfOne, Group.SOON);

        assertEquals(leaderOfTwo, two.awaitLeader(Group.SOON));
        assertEquals(List.of(), two.witness().writesSince(before));
        assertEquals(List.of(leaderOfTwo + " on"), moves(two, 0));
    }

    // --- Leaving on request --------------------------------------------------------------------------------------------

    @ConcurrentTest.Alone
    void on_sigterm_the_leader_hands_over_and_exits_within_a_second() {
        Group group = groups.elected(3, Group.FAST);
        String old = group.awaitLeader(Group.SOON);
        long before = group.witness().now();

        assertExitsWithin(EXIT_WITH_SUCCESSOR, group, old);

        String next = group.awaitLeaderOtherThan(old, Group.SOON);
        assertHandedOver(group, before, old, next);
        List<String> writes = group.witness().writesSince(before).stream().map(Witness.PodRevision::name).toList();
        assertEquals(3, writes.size(), "a fence for each of the others and the own label: " + writes);
        assertEquals(List.of(old, next), writes.subList(1, 3), "the labelled one is fenced last");
    }

    @ConcurrentTest.Alone
    void without_a_successor_the_leader_takes_its_label_off_and_exits_within_three_seconds() {
        Group group = groups.elected(3, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        List<String> followers = group.labels().keySet().stream().filter(pod -> !pod.equals(leader)).toList();
        followers.forEach(pod -> group.sidecar(pod).freeze());
        long before = group.witness().now();

        assertExitsWithin(EXIT_ALONE, group, leader);

        group.witness().catchUp();
        assertEquals(List.of(leader + " off"), moves(group, before));
        followers.forEach(pod -> group.sidecar(pod).thaw());
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    @ConcurrentTest.Alone
    void a_follower_exits_within_a_second_and_nothing_changes() {
        Group group = groups.elected(3, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        long before = group.witness().now();

        assertExitsWithin(EXIT_WITH_SUCCESSOR, group, group.otherThan(leader));

        group.awaitRenewals(leader, 3);
        assertEquals(List.of(), group.witness().writesSince(before));
        assertEquals(leader, group.awaitLeader(Group.SOON));
    }

    @ConcurrentTest.Alone
    void a_second_signal_ends_at_once() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        String other = group.otherThan(leader);
        group.sidecar(other).freeze();
        SidecarProcess sidecar = group.term(leader);
        group.await("the lease is offered", Group.SOON, () -> group.witness().lease().orElseThrow().holder().isEmpty());

        long second = System.nanoTime();
        sidecar.term();

        assertEquals(0, sidecar.exitCode(Group.SOON));
        Duration took = Duration.ofNanos(sidecar.endedAt() - second);
        assertTrue(took.toMillis() < 1000, "took " + took + ", which is the first signal's way out");
        assertEquals("true", group.labels().get(leader), "it did not wait to take its label off");
        group.sidecar(other).thaw();
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    @ConcurrentTest
    void a_leader_whose_pod_is_being_deleted_hands_over_at_once_and_stays_until_sigterm() {
        Group group = groups.elected(3, Group.FAST);
        String old = group.awaitLeader(Group.SOON);
        long before = group.witness().now();

        group.beginDeletion(old);
        String next = group.awaitLeaderOtherThan(old, Group.SOON);

        assertHandedOver(group, before, old, next);
        group.awaitRenewals(next, 4);
        assertTrue(group.sidecar(old).isAlive(), group.sidecar(old).log());
        assertEquals(next, group.awaitLeader(Group.SOON));
        assertEquals(0, group.term(old).exitCode(Group.SOON));
        assertEquals(2, moves(group, before).size(), "nothing moved after the hand-over");
    }

    @ConcurrentTest
    void a_leader_whose_pod_is_gone_says_so_and_exits_and_another_leads() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);

        group.deletePod(leader);

        assertEquals(0, group.sidecar(leader).exitCode(Group.SOON));
        assertSays(group.sidecar(leader), "the own pod " + leader + " was deleted");
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    @ConcurrentTest
    void a_follower_whose_pod_is_gone_says_so_and_exits_and_nothing_changes() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        String follower = group.otherThan(leader);
        long before = group.witness().now();

        group.deletePod(follower);

        assertEquals(0, group.sidecar(follower).exitCode(Group.SOON));
        assertSays(group.sidecar(follower), "the own pod " + follower + " was deleted");
        group.awaitRenewals(leader, 3);
        assertEquals(List.of(), group.witness().writesSince(before));
        assertEquals(leader, group.awaitLeader(Group.SOON));
    }

    @ConcurrentTest
    void a_leader_whose_pod_was_replaced_under_the_same_name_exits_and_the_new_pod_follows() {
        Group group = groups.elected(2, Group.FAST);
        String name = group.awaitLeader(Group.SOON);
        SidecarProcess old = group.sidecar(name);
        group.deletePod(name);
        group.createPod(name);
        group.startSidecar(name);

        assertEquals(0, old.exitCode(Group.SOON));
        assertTrue(old.log().contains("the own pod " + name + " was "), "replaced, or deleted: " + old.log());
        String leader = group.awaitLeaderOtherThan(name, Group.START);
        assertEquals(List.of(name + " on", name + " off", leader + " on"), moves(group, 0));
    }

    // --- Failures ------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void after_a_crash_another_takes_over_when_the_lease_expires() {
        Group group = groups.elected(3, Group.FAST);
        String crashed = group.awaitLeader(Group.SOON);
        long before = group.witness().now();

        group.kill(crashed);
        String next = group.awaitLeaderOtherThan(crashed, Group.SOON);

        List<Witness.LeaseRevision> renewals = group.witness().leases().stream().filter(lease -> lease.holder().equals(crashed)).toList();
        Witness.Move on = group.witness().movesSince(before).getLast();
        Duration took = Duration.ofNanos(on.at() - renewals.getLast().at());
        // The followers may have seen the last renewal a little before or after the witness did.
        assertTrue(took.compareTo(Group.LEASE.minusMillis(200)) > 0, "usurped after " + took);
        assertTrue(took.compareTo(Group.LEASE.plusMillis(1500)) < 0, "only after " + took);
        assertEquals(List.of(crashed + " off", next + " on"), moves(group, before));
    }

    @ConcurrentTest
    void a_frozen_leader_is_replaced_and_follows_when_it_thaws() {
        Group group = groups.elected(3, Group.FAST);
        String frozen = group.awaitLeader(Group.SOON);
        SidecarProcess sidecar = group.sidecar(frozen);
        sidecar.freeze();
        String next = group.awaitLeaderOtherThan(frozen, Group.SOON);
        long before = group.witness().now();

        sidecar.thaw();

        sidecar.awaitLog("stopped leading", Group.SOON);
        group.awaitRenewals(next, 4);
        assertEquals(List.of(), group.witness().writesSince(before), "the thawed one writes nothing");
        group.term(next);
        group.awaitLeaderOtherThan(next, Group.SOON);
    }

    @ConcurrentTest
    void a_frozen_follower_changes_nothing() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        String follower = group.otherThan(leader);
        long before = group.witness().now();
        group.sidecar(follower).freeze();
        group.awaitRenewals(leader, 8);

        group.sidecar(follower).thaw();

        group.awaitRenewals(leader, 4);
        assertEquals(List.of(), group.witness().writesSince(before));
        assertEquals(leader, group.awaitLeader(Group.SOON));
    }

    @ConcurrentTest
    void a_leader_that_restarts_its_container_keeps_its_label_throughout() {
        Group group = groups.elected(3, Group.CALM);
        String leader = group.awaitLeader(Group.SOON);
        String claim = group.witness().lease().orElseThrow().claim();
        long before = group.witness().now();

        group.kill(leader);
        group.startSidecar(leader).awaitLog("became leader", Group.START);

        assertEquals(leader, group.awaitLeader(Group.SOON));
        assertEquals(List.of(), moves(group, before));
        assertNotEquals(claim, group.witness().lease().orElseThrow().claim(), "it won the lease anew");
        assertEquals(3, group.witness().writesSince(before).size(), "the new epoch on each pod");
    }

    @ConcurrentTest
    void a_follower_that_restarts_its_container_changes_nothing_and_can_lead() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        String follower = group.otherThan(leader);
        long before = group.witness().now();

        group.kill(follower);
        group.startSidecar(follower).awaitLog("started", Group.START);
        group.awaitRenewals(leader, 4);
        assertEquals(List.of(), group.witness().writesSince(before));

        group.term(leader);
        assertEquals(follower, group.awaitLeaderOtherThan(leader, Group.SOON));
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    private static void assertExitsWithin(Duration limit, Group group, String pod) {
        long signalled = System.nanoTime();
        SidecarProcess sidecar = group.term(pod);
        assertEquals(0, sidecar.exitCode(Group.SOON), sidecar.log());
        Duration took = Duration.ofNanos(sidecar.endedAt() - signalled);
        assertTrue(took.compareTo(limit) <= 0, "took " + took + "; its log:\n" + sidecar.log());
    }

    /** The label moved once, by two adjacent pod writes of the new leader, after the lease was offered and taken. */
    private static void assertHandedOver(Group group, long before, String old, String next) {
        List<Witness.Move> moves = group.witness().movesSince(before);
        assertEquals(List.of(old + " off", next + " on"), moves.stream().map(Witness.Move::toString).toList());
        assertEquals(moves.get(0).index() + 1, moves.get(1).index(), "off and on are adjacent");
        List<String> epochs = group.witness().writesSince(before).stream().filter(write -> write.name().equals(old))
                .map(Witness.PodRevision::epoch).toList();
        assertEquals(List.of(group.witness().pods().get(next).epoch()), epochs, "the old leader was fenced, it did not fence itself");
        List<String> holders = new ArrayList<>(group.witness().leasesSince(before).stream().map(Witness.LeaseRevision::holder).toList());
        holders.removeIf(old::equals);
        assertEquals("", holders.removeFirst(), "the lease is offered first");
        assertEquals(Set.of(next), Set.copyOf(holders));
        assertFalse(holders.isEmpty());
    }

    private static void assertSays(SidecarProcess sidecar, String text) {
        assertTrue(sidecar.log().contains(text), sidecar.log());
    }

    private static List<String> moves(Group group, long since) {
        return group.witness().movesSince(since).stream().map(Witness.Move::toString).toList();
    }
}
