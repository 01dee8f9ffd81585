import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The metrics are readable for Prometheus, and move as the election does. */
@Tag(SidecarCommand.TAG)
@Patient.WithProcesses
class MetricsTest {

    private static final Map<String, String> FAMILIES = new TreeMap<>(Map.ofEntries(
            Map.entry("leader_election_master_status", "gauge"),
            Map.entry("leader_labeler_epoch", "gauge"),
            Map.entry("leader_labeler_preferred", "gauge"),
            Map.entry("leader_labeler_transitions_total", "counter"),
            Map.entry("leader_labeler_lease_age_seconds", "gauge"),
            Map.entry("leader_labeler_renewal_age_seconds", "gauge"),
            Map.entry("leader_labeler_last_handover_seconds", "gauge"),
            Map.entry("leader_labeler_last_takeover_seconds", "gauge"),
            Map.entry("leader_labeler_label_patches_total", "counter"),
            Map.entry("leader_labeler_drift_healed_total", "counter"),
            Map.entry("leader_labeler_api_requests_total", "counter")));

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);

    private ServedSidecar leader;
    private ServedSidecar follower;

    @BeforeAll
    static void elect() {
        GROUP.elect(3);
    }

    @BeforeEach
    void look() {
        leader = GROUP.leader();
        follower = GROUP.follower();
    }

    // --- The format --------------------------------------------------------------------------------------------------

    @Test
    void a_leader_and_a_follower_show_all_families_with_help_and_type() {
        for (ServedSidecar sidecar : List.of(leader, follower)) {
            Map<String, String> types = new TreeMap<>();
            sidecar.metrics().families().forEach((name, family) -> types.put(name, family.type()));
            assertEquals(FAMILIES, types);
            assertTrue(sidecar.metrics().families().values().stream().allMatch(family -> family.help().length() > 10));
        }
    }

    @Test
    void the_content_type_names_the_format_and_its_version() {
        assertEquals("text/plain; version=0.0.4; charset=utf-8", leader.endpoint().get("/metrics").headers().get("content-type"));
    }

    @Test
    void labels_have_few_values() {
        Map<String, String> allowed = Map.of("verb", "get|list|watch|create|update|patch",
                "resource", "leases|pods|events|selfsubjectaccessreviews|selfsubjectreviews", "code", "[1-5]\\d\\d|<error>",
                "result", "ok|conflict|missing|failed|unsent", "name", "web");
        for (ServedSidecar sidecar : List.of(leader, follower)) {
            sidecar.metrics().families().values().forEach(family -> family.samples().keySet().forEach(labels -> labels.forEach(
                    (label, value) -> assertTrue(value.matches(allowed.getOrDefault(label, "")), label + "=" + value))));
        }
    }

    // --- The values --------------------------------------------------------------------------------------------------

    @Test
    void a_leader_shows_that_it_leads_since_when_and_by_which_epoch() {
        PrometheusText metrics = leader.metrics();
        assertEquals(1, metrics.value("leader_election_master_status", Map.of("name", "web")));
        assertEquals(Double.parseDouble(GROUP.witness().pods().get(leader.pod()).epoch()), metrics.value("leader_labeler_epoch"));
        assertTrue(metrics.value("leader_labeler_renewal_age_seconds") < ServedGroup.LEASE.toSeconds(), metrics.toString());
        assertTrue(metrics.value("leader_labeler_lease_age_seconds") < ServedGroup.LEASE.toSeconds(), metrics.toString());
    }

    @Test
    void a_follower_shows_that_it_does_not_lead_and_how_fresh_the_lease_is() {
        PrometheusText metrics = follower.metrics();
        assertEquals(0, metrics.value("leader_election_master_status", Map.of("name", "web")));
        assertEquals(0, metrics.value("leader_labeler_epoch"));
        assertTrue(metrics.value("leader_labeler_lease_age_seconds") < ServedGroup.LEASE.toSeconds(), metrics.toString());
    }

    /** An answer is counted when it has arrived, which is after the API server's other clients could see what was written. */
    @Test
    void renewals_are_counted_as_requests() {
        double earlier = renewals(leader);
        Wait.until("one is counted, so that none is under way", Group.SOON, () -> renewals(leader) > earlier);
        long begin = System.nanoTime();
        double before = renewals(leader);
        double followers = renewals(follower);

        Wait.until("three more are counted", Group.SOON, () -> renewals(leader) >= before + 3);

        double more = renewals(leader) - before;
        long periods = Duration.ofNanos(System.nanoTime() - begin).dividedBy(ServedGroup.RETRY_PERIOD);
        assertTrue(more <= periods + 1, more + " renewals in " + periods + " retry-periods");
        assertEquals(followers, renewals(follower));
    }

    @Test
    void a_hand_over_shows_in_the_metrics_of_both_sides() {
        double transitions = leader.metrics().value("leader_labeler_transitions_total");
        double patches = patches(leader, "ok");

        ServedSidecar next = GROUP.moveLead();
        awaitCounted(next);

        assertTrue(next.metrics().value("leader_labeler_transitions_total") > transitions);
        Wait.until("the old leader shows that it stopped", Group.SOON, () -> leads(leader) == 0);
        assertEquals(0, leader.metrics().value("leader_labeler_epoch"));
        double took = next.metrics().value("leader_labeler_last_handover_seconds");
        assertTrue(took > 0 && took < Group.SOON.toSeconds(), "took " + took);
        assertTrue(patches(next, "ok") >= 3, "a fence for each of the others, and the own label");
        assertEquals(patches, patches(leader, "ok"), "the old leader left its label to the next one");
    }

    @Test
    void a_take_over_shows_how_long_after_the_loss_the_next_leader_was_labelled() {
        leader.process().kill();
        GROUP.group().deletePod(leader.pod());

        GROUP.group().awaitLeaderOtherThan(leader.pod(), Group.SOON);
        ServedSidecar next = GROUP.leader();
        awaitCounted(next);

        double took = next.metrics().value("leader_labeler_last_takeover_seconds");
        assertTrue(took > 0 && took < Group.SOON.toSeconds(), "took " + took);
        GROUP.group().createPod(leader.pod());
        GROUP.start(leader.pod());
    }

    @Test
    void healed_drift_is_counted_by_the_leader() {
        Map<String, String> edits = Map.of(GROUP.group().keys().leadership(), "true", GROUP.group().keys().participation(), "no");
        double followers = follower.metrics().value("leader_labeler_drift_healed_total");
        edits.forEach((key, value) -> {
            double before = leader.metrics().value("leader_labeler_drift_healed_total");
            GROUP.group().editLabel(follower.pod(), key, value);
            Wait.until("one more is counted", Group.SOON, () -> leader.metrics().value("leader_labeler_drift_healed_total") == before + 1);
        });
        assertEquals(followers, follower.metrics().value("leader_labeler_drift_healed_total"));
    }

    @Test
    void refused_pod_writes_are_counted_by_result_and_by_code() {
        Map<String, String> refused = request("patch", "pods", "403");
        double failed = patches(leader, "failed");
        double requests = leader.metrics().count("leader_labeler_api_requests_total", refused);
        GROUP.server().allow((verb, resource, namespace, name) -> !(verb.equals("patch") && resource.equals("pods")));
        try {
            GROUP.server().withStore(store -> store.patch(Resource.PODS, GROUP.group().namespace(), follower.pod(),
                    Map.of("metadata", Map.of("labels", Map.of(GROUP.group().keys().leadership(), "true")))));
            Wait.until("two failures are counted", Group.SOON, () -> patches(leader, "failed") >= failed + 2);
            assertTrue(leader.metrics().count("leader_labeler_api_requests_total", refused) >= requests + 2);
        } finally {
            GROUP.server().allow((verb, resource, namespace, name) -> true);
        }
    }

    /** Waits until a new leader shows its own label, which all others could see a little earlier. */
    private static void awaitCounted(ServedSidecar next) {
        Wait.until("the new leader shows that it leads", Group.SOON, () -> leads(next) == 1);
    }

    private static double leads(ServedSidecar sidecar) {
        return sidecar.metrics().value("leader_election_master_status", Map.of("name", "web"));
    }

    private static double renewals(ServedSidecar sidecar) {
        return sidecar.metrics().count("leader_labeler_api_requests_total", request("update", "leases", "200"));
    }

    private static double patches(ServedSidecar sidecar, String result) {
        return sidecar.metrics().count("leader_labeler_label_patches_total", Map.of("result", result));
    }

    private static Map<String, String> request(String verb, String resource, String code) {
        return Map.of("verb", verb, "resource", resource, "code", code);
    }
}
