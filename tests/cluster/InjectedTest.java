import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/** What deploy/README.md promises of the injection, on a real cluster: a Deployment that knows nothing of elections gets one label. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class InjectedTest {

    private static final String NAMESPACE = "leader-labeler-test-injected";
    private static final Duration SOON = Duration.ofMinutes(3);
    private static final int REPEATED = 5;

    private static Cluster cluster;
    private static Workload shop;
    private static String injection;
    private static boolean begun;
    private static boolean ready;

    @BeforeEach
    void labelOnce() {
        Optional<String> reason = Cluster.unavailable();
        Assumptions.assumeTrue(reason.isEmpty(), () -> reason.orElse(""));
        Assumptions.assumeTrue(ready || !begun, "what all tests need could not be set up, see the first failure");
        if (!begun) {
            begun = true;
            label();
            ready = true;
        }
    }

    /** Does to a Deployment of three pods what deploy/README.md says. */
    private static void label() {
        cluster = Cluster.shared();
        injection = injection();
        cluster.kubectl("apply", "-f", injection);
        cluster.createNamespace(NAMESPACE);
        shop = new Workload(cluster, NAMESPACE, "shop");
        String manifest = SHOP.formatted(Cluster.PROBE);
        cluster.kubectl("apply", "-n", NAMESPACE, "-f", Folders.write(Folders.temporary("shop"), "shop.yaml", manifest).toString());
        cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deploy/shop", "--timeout=180s");

        cluster.kubectl("create", "rolebinding", "leader-labeler", "-n", NAMESPACE, "--clusterrole=leader-labeler",
                "--group=system:serviceaccounts:" + NAMESPACE);
        cluster.kubectl("patch", "deployment", "shop", "-n", NAMESPACE, "--type=merge", "-p",
                "{\"spec\": {\"template\": {\"metadata\": {\"labels\": {\"leader-labeler/election\": \"shop\"}}}}}");
        cluster.kubectl("expose", "deployment", "shop", "-n", NAMESPACE, "--name=shop-leader", "--port=80", "--target-port=8080",
                "--selector=shop/is-leader=true");
        shop.use(cluster.schedulableNodes().getFirst());
    }

    private static final String SHOP = """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: shop}
            spec:
              replicas: 3
              selector: {matchLabels: {app: shop}}
              strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
              template:
                metadata: {labels: {app: shop}}
                spec:
                  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
                  containers:
                  - name: shop
                    image: %s
                    ports: [{containerPort: 8080}]
                    # Longer than the Services take to follow on a busy machine; three seconds are enough elsewhere.
                    lifecycle: {preStop: {sleep: {seconds: 10}}}
                    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
                    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
            """;

    /** The manifests of the injection, in the version of its API that the cluster serves. */
    private static String injection() {
        String served = cluster.kubectl("api-versions");
        String version = served.contains("admissionregistration.k8s.io/v1\n") && cluster.kubectl("get", "--raw",
                "/apis/admissionregistration.k8s.io/v1").contains("mutatingadmissionpolicies") ? "v1" : "v1beta1";
        Assumptions.assumeTrue(version.equals("v1") || served.contains("admissionregistration.k8s.io/v1beta1\n"),
                "this cluster has no MutatingAdmissionPolicy");
        String built = cluster.kubectl("kustomize", "deploy/injection").replace("leader-labeler:1.0.0", Cluster.IMAGE)
                .replaceAll("(admissionregistration.k8s.io/)v1(\nkind: Mutating)", "$1" + version + "$2");
        return Folders.write(Folders.temporary("injection"), "injection.yaml", built).toString();
    }

    @AfterAll
    static void end() {
        if (shop != null) {
            shop.close();
        }
        if (injection != null) {
            cluster.kubectl("delete", "namespace", "--ignore-not-found", NAMESPACE);
            cluster.kubectl("delete", "--ignore-not-found", "-f", injection);
        }
    }

    @Test
    @Order(1)
    void each_pod_of_the_unchanged_deployment_has_the_sidecar() {
        assertEquals("shop", cluster.kubectl("get", "deployment", "shop", "-n", NAMESPACE, "-o",
                "jsonpath={.spec.template.spec.containers[*].name}"));
        assertEquals(List.of("shop leader-labeler"), cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", "app=shop", "-o",
                "jsonpath={range .items[*]}{.spec.containers[*].name}{\"\\n\"}{end}").lines().distinct().toList());
    }

    @Test
    @Order(2)
    void rolling_updates_cost_no_request() {
        List<Traffic.Window> windows = shop.repeat("injected: rolling update", REPEATED,
                () -> cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "deploy/shop"));

        assertEquals(0, Workload.medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(3)
    void deletions_of_the_leader_cost_no_request() {
        List<Traffic.Window> windows = shop.repeat("injected: delete leader", REPEATED,
                () -> cluster.kubectl("delete", "pod", "-n", NAMESPACE, shop.leader()));

        assertEquals(0, Workload.medianOfFailed(windows), windows.toString());
    }

    @Test
    @Order(4)
    void at_no_revision_of_all_this_were_two_pods_labelled() {
        assertEquals(List.of(), shop.labels().withTwo());
    }

    @Test
    @Order(5)
    void after_the_removal_of_the_label_new_pods_come_without_sidecar() {
        cluster.kubectl("patch", "deployment", "shop", "-n", NAMESPACE, "--type=merge", "-p",
                "{\"spec\": {\"template\": {\"metadata\": {\"labels\": {\"leader-labeler/election\": null}}}}}");
        cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deploy/shop", "--timeout=180s");

        Wait.until("only pods without sidecar are left", SOON, () -> cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", "app=shop", "-o",
                "jsonpath={range .items[*]}{.spec.containers[*].name}{\"\\n\"}{end}").lines().distinct().toList().equals(List.of("shop")));
    }
}
