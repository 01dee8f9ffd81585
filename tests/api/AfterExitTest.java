import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code --handover=after-exit}: two applications never lead at the same time in a planned termination. */
@Patient
@Real
class AfterExitTest {

    private static final List<String> FLAGS = flags();

    @RegisterExtension
    final LocalGroups groups = new LocalGroups(RealServer::shared);

    private static List<String> flags() {
        List<String> flags = new ArrayList<>(Group.FAST);
        flags.add("--handover=after-exit");
        return flags;
    }

    @ConcurrentTest
    void the_label_goes_off_at_once_and_nobody_else_is_labelled_before_the_application_has_exited() {
        LocalGroup group = groups.elected(3, FLAGS);
        String old = group.group().awaitLeader(Group.SOON);
        List<String> others = group.ranking(old);
        long before = group.witness().now();
        long place = group.trace().now();

        group.delete(old);
        group.group().await("its label goes off", Group.SOON, () -> "false".equals(group.group().labels().get(old)));
        group.awaitRenewals(old, 8); // longer than a lease-duration: it is not given back either
        assertEquals(List.of(old + " off"), group.movesSince(before));
        assertEquals(List.of(), group.trace().askedBy(others, place));

        long exited = group.trace().now(); // now the kubelet sends the native sidecar its SIGTERM
        group.sidecar(old).term();
        assertEquals(0, group.sidecar(old).exitCode(Group.SOON));
        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);
        assertEquals(List.of(old + ": PUT lease holder="), group.trace().textSince(exited, entry -> entry.pod.equals(old)));
        assertTrue(others.contains(next));
        assertEquals(List.of(old + " off", next + " on"), group.movesSince(before));
    }

    @ConcurrentTest
    void while_it_drains_its_label_stays_off_whoever_puts_it_on() {
        LocalGroup group = groups.elected(2, FLAGS);
        String old = group.group().awaitLeader(Group.SOON);
        group.delete(old);
        group.group().await("its label goes off", Group.SOON, () -> "false".equals(group.group().labels().get(old)));

        group.group().editLabel(old, group.group().keys().leadership(), "true");

        group.group().await("its label is off again", Group.SOON, () -> {
            group.witness().catchUp();
            return "false".equals(group.group().labels().get(old));
        });
        assertEquals(old, group.witness().lease().orElseThrow().holder());
        group.sidecar(old).term();
        group.group().awaitLeaderOtherThan(old, Group.SOON);
    }

    @ConcurrentTest
    void without_a_deletion_sigterm_moves_the_label_without_a_gap() {
        LocalGroup group = groups.elected(2, FLAGS);
        String old = group.group().awaitLeader(Group.SOON);
        long before = group.witness().now();

        group.sidecar(old).term();

        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);
        List<Witness.Move> moves = group.witness().movesSince(before);
        assertEquals(List.of(old + " off", next + " on"), moves.stream().map(Witness.Move::toString).toList());
        assertEquals(moves.get(0).index() + 1, moves.get(1).index(), "off and on are adjacent");
    }

    @ConcurrentTest
    void a_follower_that_terminates_changes_nothing() {
        LocalGroup group = groups.elected(2, FLAGS);
        String leader = group.group().awaitLeader(Group.SOON);
        String follower = group.group().otherThan(leader);
        long before = group.witness().now();

        group.delete(follower);
        group.awaitRenewals(leader, 3);
        group.sidecar(follower).term();

        assertEquals(0, group.sidecar(follower).exitCode(Group.SOON));
        assertEquals(List.of(), group.movesSince(before));
        assertEquals(leader, group.group().awaitLeader(Group.SOON));
    }
}
