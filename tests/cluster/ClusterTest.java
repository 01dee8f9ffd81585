import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
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
    /** Requests to wait for after a disturbance: two seconds, in which the Services have followed long since. */
    private static final int SETTLE = 100;
    private static final int REPEATED = 5;

    private Cluster cluster;
    private Labels labels;
    private Traffic traffic;
    private String clientNode;
    private boolean begun;

    @BeforeEach
    void startOnce() {
        Optional<String> reason = Cluster.unavailable();
        Assumptions.assumeTrue(reason.isEmpty(), () -> reason.orElse(""));
        Assumptions.assumeTrue(traffic != null || !begun, "what all tests need could not be set up, see the first failure");
        if (!begun) {
            begun = true;
            cluster = new Cluster();
            clientNode = schedulableNodes().getFirst();
            createNamespace(NAMESPACE);
            labels = new Labels(cluster.client(), NAMESPACE, LABEL);
            apply(NAMESPACE, "example", "");
            awaitReady();
            traffic = new Traffic(cluster, NAMESPACE, "web-leader", clientNode);
        }
    }

    @AfterAll
    void end() {
        if (labels != null) {
            labels.close();
        }
        if (cluster != null) {
            cluster.kubectl("delete", "namespace", "--ignore-not-found", NAMESPACE, NATIVE);
            cluster.close();
        }
    }

    // --- Planned -------------------------------------------------------------------------------------------------------

    @Test
    @Order(1)
    void rolling_updates_cost_no_request() {
        List<Traffic.Window> windows = repeat("rolling update", REPEATED,
                () -> cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "deploy/web"));

        assertEquals(0, medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(2)
    void deletions_of_the_leader_cost_no_request() {
        List<Traffic.Window> windows = repeat("delete the leader", REPEATED,
                () -> cluster.kubectl("delete", "pod", "-n", NAMESPACE, leader()));

        assertEquals(0, medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(3)
    void a_drained_node_moves_the_leader() {
        List<String> nodes = schedulableNodes();
        Assumptions.assumeTrue(nodes.size() > 1, "there is only one node for pods");
        for (int i = 0; i < 10 && nodeOf(leader()).equals(clientNode); i++) {
            String old = leader();
            cluster.kubectl("patch", "lease", "web", "-n", NAMESPACE, "--type=merge", "-p", "{\"spec\":{\"holderIdentity\":\"\"}}");
            Wait.until("another leader than " + old, SOON, () -> labels.leader().filter(name -> !name.equals(old)).isPresent());
        }
        String node = nodeOf(leader());
        Assumptions.assumeTrue(!node.equals(clientNode), "no pod can lead on another node than the client's");

        List<Traffic.Window> windows = repeat("drain the leader's node", 1, () ->
                cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"));

        cluster.kubectl("uncordon", node);
        assertEquals(0, medianOfFailed(windows), windows.toString());
    }

    // --- Unplanned -----------------------------------------------------------------------------------------------------

    @Test
    @Order(4)
    void a_forced_deletion_is_noticed_at_once() {
        List<Traffic.Window> windows = repeat("forced deletion", 3, () ->
                cluster.kubectl("delete", "pod", "-n", NAMESPACE, leader(), "--grace-period=0", "--force"));

        assertTrue(windows.stream().allMatch(window -> window.longestGap() < 5000), "nobody waits out the lease: " + windows);
    }

    @Test
    @Order(5)
    void a_crash_of_the_application_leaves_the_lead_where_it_is() {
        String leader = leader();
        String address = cluster.kubectl("get", "pod", leader, "-n", NAMESPACE, "-o", "jsonpath={.status.podIP}");

        repeat("application crashes", 1, () -> {
            int before = restarts(leader, "web");
            cluster.kubectl("exec", "-n", NAMESPACE, "client", "--", "/opt/jre/bin/java", "-cp", "/probe", "Probe", "crash", address);
            Wait.until("a restart of the application", SOON, () -> restarts(leader, "web") > before);
        });

        assertEquals(leader, leader());
    }

    @Test
    @Order(6)
    void a_crash_of_the_sidecar_leaves_the_lead_where_it_is() {
        String leader = leader();

        repeat("sidecar crashes", 1, () -> {
            int before = restarts(leader, "leader-labeler");
            Assumptions.assumeTrue(cluster.killContainer(NAMESPACE, leader, "leader-labeler"),
                    "nodes of this cluster are no Docker containers, so nothing in them can be killed");
            Wait.until("a restart of the sidecar", SOON, () -> restarts(leader, "leader-labeler") > before);
        });

        assertEquals(leader, leader());
    }

    @Test
    @Order(7)
    void at_no_revision_of_all_this_were_two_pods_labelled() {
        assertEquals(List.of(), labels.withTwo());
    }

    // --- Native sidecar ------------------------------------------------------------------------------------------------

    @Test
    @Order(8)
    void the_lease_is_released_after_the_application_has_exited() throws Exception {
        createNamespace(NATIVE);
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

    /** Disturbs, waits until everything is ready again and the Services have followed, and tells what the client saw meanwhile. */
    private List<Traffic.Window> repeat(String what, int times, Runnable disturbance) {
        List<Traffic.Window> windows = new ArrayList<>();
        for (int i = 1; i <= times; i++) {
            long request = traffic.now();
            long time = System.nanoTime();
            disturbance.run();
            awaitReady();
            Traffic.Window window = traffic.since(request, SETTLE);
            windows.add(window);
            System.out.printf("%-24s %d: %5d requests, %4d failed, longest gap %5d ms; %d changes of leader, %4d ms without label %s%n",
                    what, i, window.requests(), window.failed(), window.longestGap(), labels.moves(time), labels.millisWithNone(time),
                    window.failures());
        }
        assertEquals(List.of(), labels.withTwo());
        return windows;
    }

    private static int medianOfFailed(List<Traffic.Window> windows) {
        return windows.stream().map(Traffic.Window::failed).sorted().toList().get(windows.size() / 2);
    }

    /** Waits until the Deployment is as it should be, pods that go are gone, and one leads. */
    private void awaitReady() {
        cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deploy/web", "--timeout=180s");
        Wait.until("three pods that are ready", SOON, () -> {
            List<String> ready = words("pods", "-n", NAMESPACE, "-l", "app=web",
                    "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}");
            return ready.size() == 3 && ready.stream().allMatch("True"::equals);
        });
        Wait.until("a leader", SOON, () -> labels.leader().isPresent());
    }

    private String leader() {
        return labels.leader().orElseThrow();
    }

    private String nodeOf(String pod) {
        return cluster.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", "jsonpath={.spec.nodeName}");
    }

    private int restarts(String pod, String container) {
        return Integer.parseInt(cluster.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o",
                "jsonpath={.status.containerStatuses[?(@.name==\"" + container + "\")].restartCount}"));
    }

    private List<String> schedulableNodes() {
        return words("nodes", "-o", "go-template={{range .items}}{{$ok := not .spec.unschedulable}}{{range .spec.taints}}"
                + "{{if eq .effect \"NoSchedule\"}}{{$ok = false}}{{end}}{{end}}{{if $ok}}{{.metadata.name}} {{end}}{{end}}");
    }

    private List<String> words(String... get) {
        List<String> arguments = new ArrayList<>(List.of("get"));
        arguments.addAll(List.of(get));
        return Arrays.stream(cluster.kubectl(arguments.toArray(String[]::new)).split("\\s+")).filter(word -> !word.isEmpty()).toList();
    }

    private void createNamespace(String name) {
        cluster.kubectl("delete", "namespace", "--ignore-not-found", name);
        cluster.kubectl("create", "namespace", name);
        cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted");
    }

    /** Applies a folder of deploy/ with the images under test instead of the public ones. */
    private void apply(String namespace, String folder, String more) {
        Path overlay = Folders.temporary("overlay");
        Path deploy = Path.of("deploy", folder).toAbsolutePath();
        Folders.write(overlay, "kustomization.yaml", """
                resources: ["%s"]
                images:
                - {name: leader-labeler, newName: "%s", newTag: "%s"}
                - {name: nginxinc/nginx-unprivileged, newName: "%s", newTag: "%s"}
                %s""".formatted(overlay.toAbsolutePath().relativize(deploy), name(Cluster.IMAGE), tag(Cluster.IMAGE), name(Cluster.PROBE),
                tag(Cluster.PROBE), more));
        cluster.kubectl("apply", "-n", namespace, "-k", overlay.toString());
    }

    private static String name(String image) {
        return image.substring(0, image.indexOf(':'));
    }

    private static String tag(String image) {
        return image.substring(image.indexOf(':') + 1);
    }
}
