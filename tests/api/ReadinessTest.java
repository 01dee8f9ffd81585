import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A leader that is not Ready makes room for somebody who is, and does not keep the others busy with it. */
@Patient
class ReadinessTest {

    private static final String GRACE = "--unready-grace=400ms";

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

    @ConcurrentTest
    void a_leader_that_is_not_ready_for_the_grace_takes_its_label_off_and_releases_the_lease() {
        LocalGroup group = groups.elected(2, with(Group.CALM, GRACE));
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(old);
        long before = group.witness().now();
        long place = group.trace().now();
        long since = System.nanoTime();

        group.setReady(old, false);

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        long promoted = group.trace().first(place, next + ": PATCH pod " + next + " true").sent;
        assertEquals(List.of(old + ": PATCH pod " + old + " false", old + ": PUT lease holder=", next + ": LIST pods",
                next + ": PUT lease holder=" + next, next + ": PATCH pod " + old + " false", next + ": PATCH pod " + next + " true"),
                group.trace().textSince(place, entry -> entry.sent <= promoted && !entry.is("PUT lease holder=" + old)));
        long waited = group.trace().first(place, old + ": PATCH pod " + old + " false").sentAt - since;
        assertTrue(waited > Duration.ofMillis(400).toNanos(), "only " + waited + " ns");
        assertEquals(List.of(old + " off", next + " on"), group.movesSince(before));
        assertTrue(group.sidecar(old).isAlive());
    }

    @ConcurrentTest
    void it_follows_and_can_lead_again_when_it_is_ready() {
        LocalGroup group = groups.elected(2, with(Group.CALM, GRACE));
        String first = group.group().awaitLeader(Group.SOON);
        group.setReady(first, false);
        String second = group.group().awaitLeaderOtherThan(first, Group.SOON);
        group.setReady(first, true);

        group.setReady(second, false);

        assertEquals(first, group.group().awaitLeaderOtherThan(second, Group.SOON));
    }

    @ConcurrentTest
    void a_lapse_shorter_than_the_grace_changes_nothing() {
        LocalGroup group = groups.elected(2, with(Group.FAST, "--unready-grace=1500ms"));
        String leader = group.group().awaitLeader(Group.SOON);
        long before = group.witness().now();

        group.setReady(leader, false);
        group.setReady(leader, true);

        group.awaitRenewals(leader, 5);
        assertEquals(List.of(), group.movesSince(before));
    }

    @ConcurrentTest
    void where_nobody_else_is_ready_it_stays() {
        LocalGroup group = groups.elected(2, with(Group.FAST, GRACE));
        assertStaysThoughNotReady(group, true);
    }

    @ConcurrentTest
    void with_a_grace_of_zero_it_stays() {
        LocalGroup group = groups.elected(2, with(Group.FAST, "--unready-grace=0s"));
        assertStaysThoughNotReady(group, false);
    }

    @ConcurrentTest
    void with_after_exit_it_stays() {
        LocalGroup group = groups.elected(2, with(with(Group.FAST, GRACE), "--handover=after-exit"));
        assertStaysThoughNotReady(group, false);
    }

    private static void assertStaysThoughNotReady(LocalGroup group, boolean othersToo) {
        String leader = group.group().awaitLeader(Group.SOON);
        if (othersToo) {
            group.setReady(group.group().otherThan(leader), false);
        }
        long before = group.witness().now();
        group.setReady(leader, false);

        group.awaitRenewals(leader, 4);

        assertEquals(List.of(), group.movesSince(before));
        assertEquals(leader, group.group().awaitLeader(Group.SOON));
    }

    // --- Nobody else takes it ------------------------------------------------------------------------------------------

    @ConcurrentTest
    void if_nobody_else_takes_the_lease_it_leads_again_and_does_not_try_a_second_time() {
        LocalGroup group = groups.elected(2, with(Group.FAST, GRACE));
        String leader = group.group().awaitLeader(Group.SOON);
        group.crash(group.group().otherThan(leader)); // the pod goes on being Ready
        long before = group.witness().now();

        group.setReady(leader, false);
        group.group().await("it steps down", Group.SOON, () -> group.movesSince(before).size() == 1);

        assertEquals(leader, group.group().awaitLeader(Group.SOON));
        group.awaitRenewals(leader, 15); // more than two lease-durations
        assertEquals(List.of(leader + " off", leader + " on"), group.movesSince(before));
    }

    @ConcurrentTest
    void however_often_another_becomes_ready_it_steps_down_once_per_lease_duration_at_most() {
        LocalGroup group = groups.elected(2, with(Group.FAST, GRACE));
        String leader = group.group().awaitLeader(Group.SOON);
        String dead = group.group().otherThan(leader);
        group.crash(dead);
        long before = group.witness().now();
        long place = group.trace().now();
        group.setReady(leader, false);

        group.group().await("it steps down three times", Duration.ofSeconds(30), () -> {
            group.setReady(dead, false);
            group.setReady(dead, true);
            return group.witness().movesSince(before).stream().filter(move -> !move.on()).count() == 3;
        });

        List<Trace.Entry> stepsDown = group.trace().since(place).stream()
                .filter(entry -> entry.is("PATCH pod " + leader + " false") && entry.status == 200).toList();
        assertTrue(stepsDown.size() >= 3, stepsDown.toString());
        for (int i = 1; i < stepsDown.size(); i++) {
            long apart = stepsDown.get(i).sentAt - stepsDown.get(i - 1).sentAt;
            assertTrue(apart > Group.LEASE.minusMillis(250).toNanos(), "after " + apart + " ns\n" + group.trace().history());
        }
        assertEquals(leader, group.group().awaitLeader(Group.SOON));
    }

    private static List<String> with(List<String> flags, String flag) {
        List<String> all = new ArrayList<>(flags);
        all.add(flag);
        return all;
    }
}
