import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;

/** What users feel while pods of deploy/example and deploy/native-sidecar come and go. Prints a line of figures per disturbance. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ClusterTest {

    private static final String NAMESPACE = "leader-labeler-test";
    private static final String NATIVE = "leader-labeler-test-native";
    private static final String LABEL = "web/is-leader";
    private static final Duration SOON = Duration.ofMinutes(3);
    private static final int REPEATED = 5;

    private Cluster cluster;
    private Workload web;
    private String clientNode;
    private boolean begun;
    private boolean ready;

    @BeforeEach
    void startOnce() {
        Optional<String> reason = Cluster.unavailable();
        Assumptions.assumeTrue(reason.isEmpty(), () -> reason.orElse(""));
        Assumptions.assumeTrue(ready || !begun, "what all tests need could not be set up, see the first failure");
        if (!begun) {
            begun = true;
            cluster = Cluster.shared();
            clientNode = cluster.schedulableNodes().getFirst();
            cluster.createNamespace(NAMESPACE);
            web = new Workload(cluster, NAMESPACE, "web");
            apply(NAMESPACE, "example", "");
            web.use(clientNode);
            ready = true;
        }
    }

    @AfterAll
    void end() {
        if (web != null) {
            web.close();
        }
        if (cluster != null) {
            cluster.kubectl("delete", "namespace", "--ignore-not-found", NAMESPACE, NATIVE);
        }
    }

    // --- Planned -------------------------------------------------------------------------------------------------------

    @Test
    @Order(1)
    void rolling_updates_cost_no_request() {
        List<Traffic.Window> windows = web.repeat("rolling update", REPEATED,
                () -> cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "deploy/web"));

        assertEquals(0, Workload.medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(2)
    void deletions_of_the_leader_cost_no_request() {
        List<Traffic.Window> windows = web.repeat("delete the leader", REPEATED,
                () -> cluster.kubectl("delete", "pod", "-n", NAMESPACE, web.leader()));

        assertEquals(0, Workload.medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(3)
    void a_drained_node_moves_the_leader() {
        List<String> nodes = cluster.schedulableNodes();
        Assumptions.assumeTrue(nodes.size() > 1, "there is only one node for pods");
        for (int i = 0; i < 10 && nodeOf(web.leader()).equals(clientNode); i++) {
            String old = web.leader();
            cluster.kubectl("patch", "lease", "web", "-n", NAMESPACE, "--type=merge", "-p", "{\"spec\":{\"holderIdentity\":\"\"}}");
            Wait.until("another leader than " + old, SOON, () -> web.labels().leader().filter(name -> !name.equals(old)).isPresent());
        }
        String node = nodeOf(web.leader());
        Assumptions.assumeTrue(!node.equals(clientNode), "no pod can lead on another node than the client's");

        List<Traffic.Window> windows = web.repeat("drain the leader's node", 1, () ->
                cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"));

        cluster.kubectl("uncordon", node);
        assertEquals(0, Workload.medianOfFailed(windows), windows.toString());
    }

    // --- Unplanned -----------------------------------------------------------------------------------------------------

    @Test
    @Order(4)
    void a_forced_deletion_is_noticed_at_once() {
        List<Traffic.Window> windows = web.repeat("forced deletion", 3, () ->
                cluster.kubectl("delete", "pod", "-n", NAMESPACE, web.leader(), "--grace-period=0", "--force"));

        assertTrue(windows.stream().allMatch(window -> window.longestGap() < 5000), "nobody waits out the lease: " + windows);
    }

    @Test
    @Order(5)
    void a_crash_of_the_application_leaves_the_lead_where_it_is() {
        String leader = web.leader();
        String address = cluster.kubectl("get", "pod", leader, "-n", NAMESPACE, "-o", "jsonpath={.status.podIP}");

        web.repeat("application crashes", 1, () -> {
            int before = restarts(leader, "web");
            cluster.kubectl("exec", "-n", NAMESPACE, "client", "--", "/opt/jre/bin/java", "-cp", "/probe", "Probe", "crash", address);
            Wait.until("a restart of the application", SOON, () -> restarts(leader, "web") > before);
        });

        assertEquals(leader, web.leader());
    }

    @Test
    @Order(6)
    void a_crash_of_the_sidecar_leaves_the_lead_where_it_is() {
        String leader = web.leader();

        web.repeat("sidecar crashes", 1, () -> {
            int before = restarts(leader, "leader-labeler");
            Assumptions.assumeTrue(cluster.killContainer(NAMESPACE, leader, "leader-labeler"),
                    "nodes of this cluster are no Docker containers, so nothing in them can be killed");
            Wait.until("a restart of the sidecar", SOON, () -> restarts(leader, "leader-labeler") > before);
        });

        assertEquals(leader, web.leader());
    }

    @Test
    @Order(7)
    void at_no_revision_of_all_this_were_two_pods_labelled() {
        assertEquals(List.of(), web.labels().withTwo());
    }

    // --- Native sidecar ------------------------------------------------------------------------------------------------

    @Test
    @Order(8)
    void the_lease_is_released_after_the_application_has_exited() throws Exception {
        cluster.createNamespace(NATIVE);
        ConcurrentLinkedQueue<Instant> released = new ConcurrentLinkedQueue<>();
        String leasesOfNative = "/apis/coordination.k8s.io/v1/namespaces/" + NATIVE + "/leases";
        try (Labels own = new Labels(cluster.client(), NATIVE, LABEL);
                RawWatch leases = new RawWatch(cluster.client(), leasesOfNative, "0", (type, lease) -> {
                    if ("".equals(Json.text(lease, "spec", "holderIdentity")) && Json.text(lease, "spec", "renewTime") != null) {
                        released.add(Instant.parse(Json.text(lease, "spec", "renewTime")));
                    }
                })) {
            apply(NATIVE, "native-sidecar", """
                    patches:
                    - target: {kind: StatefulSet}
                      patch: |-
                        [{"op": "add", "path": "/spec/template/spec/containers/0/env",
                          "value": [{"name": "LINGER", "value": "3000"}]}]
                    """);
            cluster.kubectl("rollout", "status", "-n", NATIVE, "statefulset/web", "--timeout=180s");
            Wait.until("a leader", SOON, () -> own.leader().isPresent());
            String leader = own.leader().orElseThrow();
            released.clear();
            CompletableFuture<String> log = CompletableFuture.supplyAsync(
                    () -> cluster.kubectl("logs", "-f", "-n", NATIVE, leader, "-c", "web"));

            cluster.kubectl("delete", "pod", "-n", NATIVE, leader);

            Matcher exit = Pattern.compile("exits at (\\d+)").matcher(log.get());
            assertTrue(exit.find(), log.get());
            Wait.until("another leader than " + leader, SOON, () -> own.leader().filter(name -> !name.equals(leader)).isPresent());
            long after = released.element().toEpochMilli() - Long.parseLong(exit.group(1));
            System.out.printf("native sidecar: the Lease was released %d ms after the application had exited%n", after);
            assertTrue(after > 0, "released " + after + " ms after the exit");
            assertEquals(List.of(), own.withTwo());
        }
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    private String nodeOf(String pod) {
        return cluster.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", "jsonpath={.spec.nodeName}");
    }

    private int restarts(String pod, String container) {
        return Integer.parseInt(cluster.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o",
                "jsonpath={.status.containerStatuses[?(@.name==\"" + container + "\")].restartCount}"));
    }

    /** Applies a folder of deploy/ with the images under test instead of the public ones. */
    private void apply(String namespace, String folder, String more) {
        cluster.kubectl("apply", "-n", namespace, "-k", cluster.overlay(folder, more).toString());
    }
}
