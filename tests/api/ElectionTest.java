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
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What sidecar processes do on a real API server: elect, label, hand over, take over, come back. */
@Real
@Patient.WithProcesses
class ElectionTest {

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

    // --- Leaving on request --------------------------------------------------------------------------------------------

    @ConcurrentTest
    void on_sigterm_the_leader_hands_over_and_exits() {
        Group group = groups.elected(3, Group.FAST);
        String old = group.awaitLeader(Group.SOON);
        long before = group.witness().now();

        assertEquals(0, group.term(old).exitCode(Group.SOON));

        String next = group.awaitLeaderOtherThan(old, Group.SOON);
        assertHandedOver(group, before, old, next);
        List<String> writes = group.witness().writesSince(before).stream().map(Witness.PodRevision::name).toList();
        assertEquals(3, writes.size(), "a fence for each of the others and the own label: " + writes);
        assertEquals(List.of(old, next), writes.subList(1, 3), "the labelled one is fenced last");
    }

    @ConcurrentTest
    void without_a_successor_the_leader_takes_its_label_off_and_exits() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        SidecarProcess follower = group.sidecar(group.otherThan(leader));
        follower.freeze();
        long before = group.witness().now();

        assertEquals(0, group.term(leader).exitCode(Group.SOON));

        group.witness().catchUp();
        assertEquals(List.of(leader + " off"), moves(group, before));
        follower.thaw();
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    @ConcurrentTest
    void a_second_signal_ends_at_once() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);
        String other = group.otherThan(leader);
        group.sidecar(other).freeze();
        SidecarProcess sidecar = group.term(leader);
        group.await("the lease is offered", Group.SOON, () -> group.witness().lease().orElseThrow().holder().isEmpty());

        sidecar.term();

        assertEquals(0, sidecar.exitCode(Group.SOON));
        assertFalse(sidecar.log().contains("exit code="), "the first signal's way out: " + sidecar.log());
        assertEquals("true", group.labels().get(leader), "it did not wait to take its label off");
        group.sidecar(other).thaw();
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    @ConcurrentTest
    void a_leader_whose_pod_is_gone_says_so_and_exits_and_another_leads() {
        Group group = groups.elected(2, Group.FAST);
        String leader = group.awaitLeader(Group.SOON);

        group.deletePod(leader);

        assertEquals(0, group.sidecar(leader).exitCode(Group.SOON));
        assertTrue(group.sidecar(leader).log().contains("the own pod " + leader + " was deleted"), group.sidecar(leader).log());
        group.awaitLeaderOtherThan(leader, Group.SOON);
    }

    // --- Failures ------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_frozen_leader_is_replaced_and_follows_when_it_thaws() {
        Group group = groups.elected(2, Group.FAST);
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
    void a_leader_that_restarts_its_container_keeps_its_label_throughout() {
        Group group = groups.elected(2, List.of("--lease-duration=90s")); // longer than a JVM takes to start on a busy machine
        String leader = group.awaitLeader(Group.SOON);
        String claim = group.witness().lease().orElseThrow().claim();
        long before = group.witness().now();

        group.kill(leader);
        group.startSidecar(leader).awaitLog("became leader", Group.START);

        assertEquals(leader, group.awaitLeader(Group.SOON));
        assertEquals(List.of(), moves(group, before));
        assertNotEquals(claim, group.witness().lease().orElseThrow().claim(), "it won the lease anew");
        assertEquals(2, group.witness().writesSince(before).size(), "the new epoch on each pod");
    }

    // --- Healing -------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void what_somebody_does_to_pods_and_lease_is_put_right_with_few_writes_and_then_nothing_is_written() {
        Group group = groups.elected(2, Group.FAST);
        Witness.Keys keys = group.keys();
        for (Consumer<String> edit : List.<Consumer<String>>of(pod -> group.editLabel(pod, keys.leadership(), "maybe"),
                pod -> group.editLabel(pod, keys.leadership(), null), pod -> group.editLabel(pod, keys.participation(), "false"),
                pod -> group.editLabel(pod, keys.participation(), null), pod -> group.editEpoch(pod, "999999999"),
                pod -> group.editEpoch(pod, null))) {
            assertHeals(group, () -> group.labels().keySet().forEach(edit));
        }
        assertHeals(group, group::deleteLease);
        assertHeals(group, () -> group.editLease(spec -> spec.setHolderIdentity("stranger")));
        assertHeals(group, () -> group.editLease(spec -> spec.setLeaseDurationSeconds(1_000_000)));
    }

    private static void assertHeals(Group group, Runnable edit) {
        group.awaitLeader(Group.SOON);
        long before = group.witness().now();
        edit.run();
        List<Witness.PodRevision> writes = group.awaitQuiet(before, Group.SOON, Duration.ofSeconds(1));
        assertTrue(writes.size() <= 2 * 2, writes.size() + " pod writes");
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

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

    private static List<String> moves(Group group, long since) {
        return group.witness().movesSince(since).stream().map(Witness.Move::toString).toList();
    }
}
