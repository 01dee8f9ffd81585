import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What sidecars ask of the API server, by its own account: nothing that is not needed. */
@Patient.WithProcesses
@Real
class IdleTest {

    private static final Duration RETRY_PERIOD = Duration.ofMillis(500);
    private static final List<String> FLAGS = List.of("--lease-duration=10s", "--renew-deadline=7s", "--retry-period=500ms");

    private static AuditLog audit;
    private static Group group;

    @RegisterExtension
    static final Groups GROUPS = Groups.ofClass(() -> RealServer.start(audit.flags()));

    @BeforeAll
    static void keepLog() {
        audit = new AuditLog();
        assumeTrue(GROUPS.server().canStop(), "not our server to keep an audit log");
        group = GROUPS.elected(3, FLAGS);
    }

    @AfterAll
    static void deleteLog() {
        audit.close();
    }

    @Test
    void while_nothing_happens_the_leader_renews_once_per_retry_period_and_followers_ask_nothing() {
        String leader = group.awaitLeader(Group.SOON);
        group.await("the Event of the election is written, the last that a start does", Group.START, () -> audit.requests().stream()
                .anyMatch(request -> request.resource().equals("events")
                        && (leader + " became leader").equals(Json.text(request.body(), "message"))));
        group.awaitRenewals(leader, 3);
        Instant begin = Instant.now();

        group.awaitRenewals(leader, 6);

        Instant end = Instant.now();
        List<String> requests = audit.requests().stream()
                .filter(request -> request.received().isAfter(begin) && request.received().isBefore(end)).map(IdleTest::show).toList();
        assertEquals(Collections.nCopies(requests.size(), "update leases web holder=" + leader), requests);
        long periods = Duration.between(begin, end).dividedBy(RETRY_PERIOD);
        assertTrue(requests.size() >= 5 && requests.size() <= periods + 1, requests.size() + " renewals in " + periods + " retry-periods");
    }

    @Test
    void a_hand_over_takes_just_the_requests_that_the_protocol_needs() {
        String old = group.awaitLeader(Group.SOON);
        String frozen = group.otherThan(old);
        group.sidecar(frozen).freeze(); // with two candidates both may try, if the first is slow
        Instant begin = Instant.now();

        assertEquals(0, group.term(old).exitCode(Group.SOON));

        String next = group.awaitLeaderOtherThan(old, Group.SOON);
        List<String> handOver = List.of(
                "update leases web holder=",
                "list pods",
                "update leases web holder=" + next,
                "patch pods " + frozen + " leadership=false",
                "patch pods " + old + " leadership=false",
                "patch pods " + next + " leadership=true");
        group.await("the last of them is in the audit log", Group.SOON, () -> requests(begin).contains(handOver.getLast()));
        List<String> requests = requests(begin);
        int first = requests.indexOf(handOver.getFirst());
        assertEquals(handOver, requests.subList(first, requests.indexOf(handOver.getLast()) + 1));
        group.sidecar(frozen).thaw();
    }

    /** Requests for Lease and pods; Events are written when there is time. */
    private static List<String> requests(Instant since) {
        return audit.requests().stream()
                .filter(request -> group.namespace().equals(request.namespace()) && request.received().isAfter(since))
                .filter(request -> !request.resource().equals("events")).map(IdleTest::show).toList();
    }

    private static String show(AuditLog.Request request) {
        String shown = request.verb() + " " + request.resource() + (request.name() == null ? "" : " " + request.name());
        return switch (request.verb()) {
            case "update" -> shown + " holder=" + Json.text(request.body(), "spec", "holderIdentity");
            case "patch" -> shown + " leadership=" + Json.text(request.body(), "metadata", "labels", "web/is-leader");
            default -> shown;
        };
    }
}
