import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Nobody waits out the lease of a holder that is provably gone; and nobody takes it from one that only seems to be gone. */
@Patient
class GoneTest {

    /** Much less than the 15 s of a lease that is waited out. */
    private static final Duration AT_ONCE = Duration.ofSeconds(6);
    private static final List<String> SHORT = List.of("--lease-duration=1s", "--renew-deadline=800ms", "--retry-period=200ms");

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

    // --- Gone --------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void the_lease_of_a_deleted_pod_is_taken_at_once_after_a_get_by_name() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String gone = group.group().awaitLeader(Group.SOON);
        String next = group.ranking(gone).get(0);
        String third = group.ranking(gone).get(1);

        List<String> requests = takenAtOnce(group, gone, group::remove);

        assertEquals(List.of(next + ": GET pod " + gone, next + ": LIST pods", next + ": PUT lease holder=" + next,
                next + ": PATCH pod " + third + " false", next + ": PATCH pod " + next + " true"), requests);
    }

    @ConcurrentTest
    void the_lease_of_a_pod_that_was_replaced_under_the_same_name_is_taken_at_once() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String gone = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(gone);

        List<String> requests = takenAtOnce(group, gone, pod -> {
            group.sidecar(next).holdPodWatch();
            group.remove(pod);
            group.createPod(pod, true);
            group.sidecar(next).releasePodWatch();
        });

        assertEquals(List.of(next + ": GET pod " + gone, next + ": LIST pods", next + ": PUT lease holder=" + next,
                next + ": PATCH pod " + next + " true"), requests, "the new pod has no label and is none of the group's yet");
    }

    @ConcurrentTest
    void the_lease_of_a_pod_that_failed_is_taken_at_once_and_its_label_taken_off() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String failed = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(failed);

        List<String> requests = takenAtOnce(group, failed, group::fail);

        assertEquals(List.of(next + ": GET pod " + failed, next + ": LIST pods", next + ": PUT lease holder=" + next,
                next + ": PATCH pod " + failed + " false", next + ": PATCH pod " + next + " true"), requests);
    }

    /** The sidecar of the leader crashes, then its pod ends; returns what the next leader asks for until it is labelled. */
    private static List<String> takenAtOnce(LocalGroup group, String leader, Consumer<String> end) {
        group.crash(leader);
        long place = group.trace().now();
        end.accept(leader);
        String next = group.awaitLabelledOtherThan(leader, AT_ONCE);
        return group.trace().textSince(place, entry -> entry.pod.equals(next)
                && entry.sent <= group.trace().first(place, next + ": PATCH pod " + next + " true").sent);
    }

    // --- Only seems to be gone ---------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_pod_watch_that_lags_behind_the_lease_watch_proves_nothing() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String name = group.group().awaitLeader(Group.SOON);
        String behind = group.group().otherThan(name);
        group.sidecar(behind).holdPodWatch();
        group.crash(name);
        group.remove(name);
        group.createPod(name, true);
        long before = group.trace().now();
        group.start(name);
        // The one whose watch lags sees a Lease whose claim names a uid that, as far as its watch knows, is not that pod's.
        group.group().await("the new pod leads", Group.SOON, () -> group.group().unsettled().isEmpty());

        group.awaitRenewals(name, 2);
        assertEquals(List.of(behind + ": GET pod " + name), group.trace().askedBy(List.of(behind), before));
        group.sidecar(behind).releasePodWatch();
        group.awaitRenewals(name, 1);

        assertEquals(List.of(behind + ": GET pod " + name), group.trace().askedBy(List.of(behind), before));
        assertEquals(name, group.group().awaitLeader(Group.SOON));
    }

    @ConcurrentTest
    void a_holder_whose_labels_were_stripped_is_not_gone() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String leader = group.group().awaitLeader(Group.SOON);
        long place = group.trace().now();

        group.group().editLabel(leader, group.group().keys().participation(), null);
        group.group().awaitLeader(Group.SOON);
        assertEquals(List.of(), group.trace().textSince(place, entry -> !entry.pod.equals(leader)), "no sign of life");

        group.group().editLabel(leader, group.group().keys().leadership(), null);
        group.group().awaitLeader(Group.SOON);
        group.awaitRenewals(leader, 1);
        assertEquals(leader, group.group().awaitLeader(Group.SOON));
        List<String> asked = group.trace().textSince(place, entry -> !entry.pod.equals(leader));
        assertEquals(group.ranking(leader).stream().map(pod -> pod + ": GET pod " + leader).sorted().toList(),
                asked.stream().sorted().toList());
    }

    @ConcurrentTest
    void a_client_go_holder_whose_identity_is_no_pod_is_not_disturbed() {
        LocalGroup group = groups.empty(SHORT);
        try (GoLeader other = goLeader(group, "node-7_5b1c0a5e-0d0f-4b8e-9c55-0b2f1f0e6f3a")) {
            group.group().await("the program leads", Group.SOON, other::isLeading);
            group.start(0, 2);

            awaitTenLeaseDurations(group, other);
            assertEquals(List.of(), group.trace().textSince(0, entry -> entry.is("PUT lease")));
            assertEquals(List.of(), group.movesSince(0));

            other.crash();
            group.group().awaitLeader(AT_ONCE);
        }
    }

    @ConcurrentTest
    void a_client_go_leader_that_took_over_from_a_sidecar_keeps_its_annotation_and_is_not_disturbed() {
        LocalGroup group = groups.empty(SHORT);
        group.start(0, 1);
        group.group().awaitLeader(Group.SOON);
        takeOverByClientGo(group, "node-7_5b1c0a5e");
    }

    /** It resumes what it takes for its own, with the acquireTime that it finds: only the renewTime is another one. */
    @ConcurrentTest
    void the_same_where_the_client_go_leader_calls_itself_as_the_pod_was_called() {
        LocalGroup group = groups.empty(SHORT);
        group.start(0, 1);
        group.group().awaitLeader(Group.SOON);
        takeOverByClientGo(group, "web-0");
    }

    /** A leader crashes and its pod is deleted; the program takes the expired Lease; then a sidecar comes that finds all this. */
    private static void takeOverByClientGo(LocalGroup group, String identity) {
        String claim = group.witness().lease().orElseThrow().claim();
        group.crash("web-0");
        group.remove("web-0");
        try (GoLeader other = goLeader(group, identity)) {
            group.group().await("the program leads", Group.SOON, other::isLeading);
            group.start(1, 2);

            awaitTenLeaseDurations(group, other);
            assertEquals(claim, group.witness().lease().orElseThrow().claim(), "the annotation of the pod that is gone is still there");
            assertEquals(List.of(), group.trace().textSince(0, entry -> entry.pod.equals("web-1") && entry.is("PUT lease")));
            assertEquals("false", group.group().labels().get("web-1"));

            other.crash();
            assertEquals("web-1", group.group().awaitLeader(AT_ONCE));
        }
    }

    private static GoLeader goLeader(LocalGroup group, String identity) {
        return new GoLeader(server, group.group().namespace(), "web", identity, Duration.ofSeconds(1), Duration.ofMillis(200));
    }

    /** By the Lease's own changes: a renewal that came late would excuse a sidecar that took it. */
    private static void awaitTenLeaseDurations(LocalGroup group, GoLeader leader) {
        long since = System.nanoTime();
        long version = group.witness().now();
        group.group().await("ten lease-durations are over", Duration.ofSeconds(20), () -> {
            assertTrue(leader.isLeading(), "the program was deposed");
            return System.nanoTime() - since > Duration.ofSeconds(10).toNanos();
        });
        assertTrue(group.witness().leasesSince(version).size() > 20, "it renews every 200 ms");
    }

    @ConcurrentTest
    void a_pod_that_only_restarts_its_container_keeps_its_lead_and_nobody_asks_for_it() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String leader = group.group().awaitLeader(Group.SOON);
        String claim = group.witness().lease().orElseThrow().claim();
        long before = group.witness().now();
        long place = group.trace().now();

        group.crash(leader);
        group.start(leader);
        group.group().await("it has won the lease anew", AT_ONCE, () -> !claim.equals(group.witness().lease().orElseThrow().claim()));

        assertEquals(leader, group.group().awaitLeader(Group.SOON));
        assertEquals(List.of(), group.movesSince(before), "the label stays where it is");
        assertEquals(List.of(), group.trace().textSince(place, entry -> !entry.pod.equals(leader)));
    }
}
