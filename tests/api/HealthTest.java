import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Whom the kubelet kills, and whom it does not: during an outage of the API server that is longer than any limit, a leader and a follower
 * stay healthy, while a sidecar whose loop is stuck does not. All this happens once, since it takes so long.
 */
@Patient.WithProcesses
@Tag(SidecarCommand.TAG)
class HealthTest {

    /** The renew-deadline of {@link Group#FAST}. */
    private static final Duration DEADLINE = Duration.ofSeconds(2);
    /** Longer than it takes to call somebody stuck who believes in a lead that has ended. */
    private static final Duration OUTAGE = DEADLINE.plus(Group.LEASE).plusSeconds(2);

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(Group.FAST);
    @RegisterExtension
    static final ServedGroup STUCK = ServedGroup.ofClass(Group.FAST);

    /** One moment of the outage: what the probes got, in the order leader, follower, stuck. */
    private record Moment(Duration since, List<Integer> healthz, int leader, int leadersReadyz, int followersReadyz) {}

    private static final List<Moment> MOMENTS = new ArrayList<>();
    private static ServedSidecar leader;
    private static ServedSidecar follower;
    private static ServedSidecar stuck;
    private static PrometheusText before;
    private static PrometheusText metrics;
    private static List<Integer> afterwards;

    @BeforeAll
    static void outage() throws Exception {
        stuck = STUCK.elect(1);
        leader = GROUP.elect(2);
        follower = GROUP.follower();
        before = leader.metrics();
        Path fifo = stuck.roleFile().resolveSibling(".role.json.new");
        assertEquals(0, new ProcessBuilder("mkfifo", fifo.toString()).inheritIO().start().waitFor());

        GROUP.server().stopServer();
        STUCK.group().editLease(lease -> lease.setHolderIdentity("somebody")); // makes it open the FIFO, which blocks while nobody reads
        long begin = System.nanoTime();
        Wait.until("the outage is over", OUTAGE.multipliedBy(2), () -> {
            Duration since = Duration.ofNanos(System.nanoTime() - begin);
            MOMENTS.add(new Moment(since, List.of(code(leader, "/healthz"), code(follower, "/healthz"), code(stuck, "/healthz")),
                    code(leader, "/leader"), code(leader, "/readyz"), code(follower, "/readyz")));
            return since.compareTo(OUTAGE) > 0 && MOMENTS.getLast().healthz().getLast() != 200;
        });
        metrics = leader.metrics();
        GROUP.server().startServer();
        Wait.until("somebody leads again", Group.SOON, () -> code(leader, "/leader") == 200 || code(follower, "/leader") == 200);
        Files.readString(fifo); // lets the loop go on
        Wait.until("its loop is no longer stuck", Group.SOON, () -> code(stuck, "/healthz") == 200);
        afterwards = List.of(code(leader, "/healthz"), code(follower, "/healthz"), code(stuck, "/healthz"));
    }

    private static int code(ServedSidecar sidecar, String path) {
        return sidecar.endpoint().get(path).code();
    }

    // --- The outage --------------------------------------------------------------------------------------------------

    @Test
    void an_outage_alone_makes_no_follower_unhealthy() {
        assertTrue(MOMENTS.stream().allMatch(moment -> moment.healthz().get(1) == 200), MOMENTS.toString());
    }

    @Test
    void an_outage_alone_makes_no_leader_unhealthy() {
        assertTrue(MOMENTS.stream().allMatch(moment -> moment.healthz().getFirst() == 200), MOMENTS.toString());
    }

    @Test
    void an_outage_makes_nobody_unready() {
        assertTrue(MOMENTS.stream().allMatch(moment -> moment.leadersReadyz() == 200 && moment.followersReadyz() == 200),
                MOMENTS.toString());
    }

    @Test
    void a_leader_that_cannot_renew_leads_until_its_deadline_and_no_longer() {
        assertEquals(200, MOMENTS.getFirst().leader());
        Moment end = MOMENTS.stream().filter(moment -> moment.leader() == 503).findFirst().orElseThrow();
        assertTrue(end.since().compareTo(Group.LEASE) < 0, "only after " + end.since() + ", when others might lead");
        assertTrue(MOMENTS.stream().dropWhile(moment -> moment != end).allMatch(moment -> moment.leader() == 503), MOMENTS.toString());
    }

    @Test
    void the_metrics_of_a_leader_that_cannot_renew_say_so() {
        assertEquals(0, metrics.value("leader_election_master_status", Map.of("name", "web")));
        assertEquals(0, metrics.value("leader_labeler_epoch"));
        assertTrue(metrics.value("leader_labeler_renewal_age_seconds") > DEADLINE.toSeconds(), metrics.toString());
        assertTrue(metrics.value("leader_labeler_lease_age_seconds") > DEADLINE.toSeconds(), metrics.toString());
        Map<String, String> unanswered = Map.of("verb", "update", "resource", "leases", "code", "<error>");
        assertTrue(metrics.count("leader_labeler_api_requests_total", unanswered)
                > before.count("leader_labeler_api_requests_total", unanswered), metrics.toString());
    }

    // --- The stuck loop ----------------------------------------------------------------------------------------------

    @Test
    void a_loop_that_is_stuck_makes_unhealthy_and_not_at_once() {
        Moment unhealthy = MOMENTS.stream().filter(moment -> moment.healthz().getLast() == 503).findFirst().orElseThrow();
        assertTrue(unhealthy.since().compareTo(Group.LEASE.minusMillis(200)) > 0, "already after " + unhealthy.since());
        assertTrue(MOMENTS.stream().dropWhile(moment -> moment != unhealthy).allMatch(moment -> moment.healthz().getLast() == 503));
        assertEquals(List.of(200, 200, 200), afterwards, "and it can recover");
    }
}
