import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.util.Config;
import io.kubernetes.client.util.PatchUtils;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The files in deploy/: a real API server takes all of them, and grants with them what the sidecar needs and nothing else. */
@Real
class DeployTest {

    private static final Path DEPLOY = Path.of("deploy").toAbsolutePath();
    private static final String ELECTION = "web";
    /** Longer than anything takes here, the start of some JVMs on a busy machine included. */
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String ACCOUNT = "leader-labeler-" + ELECTION;

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    // --- The files -----------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"example, deployment", "native-sidecar, statefulset"})
    void pods_of_the_example_pass_the_restricted_pod_security_standard(String folder, String kind) {
        String namespace = restrictedNamespace();
        apply(namespace, DEPLOY.resolve(folder));

        Map<String, Object> pod = createPodOf(namespace, kind, "web");

        assertEquals(ACCOUNT, Json.text(pod, "spec", "serviceAccountName"));
        assertTrue(hasToken(pod, "leader-labeler"), "the sidecar has a token");
        assertFalse(hasToken(pod, "web"), "the application has none");
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"Deployment", "StatefulSet"})
    void the_component_adds_the_election_to_a_workload_of_any_name(String kind) {
        String namespace = restrictedNamespace();
        apply(namespace, kustomization("""
                apiVersion: apps/v1
                kind: %s
                metadata: {name: my-shop}
                spec:
                  selector: {matchLabels: {app: shop, tier: front}}
                  template:
                    metadata: {labels: {app: shop, tier: front}}
                    spec:
                      containers:
                      - name: shop
                        image: shop
                        ports: [{containerPort: 8081}]
                        securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]},
                          seccompProfile: {type: RuntimeDefault}}
                """.formatted(kind)));

        Map<String, Object> pod = createPodOf(namespace, kind, "my-shop");
        assertEquals("leader-labeler-my-shop", Json.text(pod, "spec", "serviceAccountName"));
        assertTrue(hasToken(pod, "leader-labeler"), "the sidecar has a token");
        assertEquals("my-shop", get(namespace, "role", "leader-labeler-my-shop", "{.rules[1].resourceNames[0]}"));
        assertEquals("leader-labeler-my-shop", get(namespace, "rolebinding", "leader-labeler-my-shop", "{.roleRef.name}"));
        assertEquals("{\"app\":\"shop\",\"leader-labeler/is-leader\":\"true\",\"tier\":\"front\"}",
                get(namespace, "service", "my-shop-leader", "{.spec.selector}"));
        assertEquals("8081", get(namespace, "service", "my-shop-leader", "{.spec.ports[0].targetPort}"));
    }

    @ConcurrentTest
    void a_namespace_with_the_restricted_standard_refuses_what_does_not_meet_it() {
        String namespace = restrictedNamespace();

        IllegalStateException refused = assertThrows(IllegalStateException.class, () -> groups.server().apply(namespace,
                "{apiVersion: v1, kind: Pod, metadata: {name: lax}, spec: {containers: [{name: app, image: app}]}}"));

        assertTrue(refused.getMessage().contains("violates PodSecurity"), refused.getMessage());
    }

    // --- The rights ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void with_exactly_these_rights_a_group_elects_heals_and_hands_over() {
        Group group = groupWithRights();
        start(group, 2);
        String first = group.awaitLeader(LIMIT);
        String second = group.otherThan(first);
        group.await("an event of the election", LIMIT, () -> group.eventsOnLease().contains(first + " became leader"));
        group.editLabel(second, group.keys().leadership(), "true");
        group.awaitLeader(LIMIT);

        assertEquals(0, group.term(first).exitCode(LIMIT));

        assertEquals(second, group.awaitLeaderOtherThan(first, LIMIT));
        assertFalse(group.sidecar(first).log().contains("permission"), group.sidecar(first).log());
        assertFalse(group.sidecar(second).log().contains("permission"), group.sidecar(second).log());
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"create, leases", "get, leases", "update, leases", "list, leases", "get, pods", "list, pods", "patch, pods"})
    void without_one_of_them_the_log_names_it(String verb, String resource) {
        Group group = groupWithRights();
        removeRight(group.namespace(), verb, resource);
        start(group, 1);

        group.sidecar("web-0").awaitLog("cannot " + verb + " resource \"" + resource + "\"", LIMIT);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"leases", "pods"})
    void without_watch_it_says_that_it_polls_and_elects(String resource) {
        Group group = groupWithRights();
        removeRight(group.namespace(), "watch", resource);
        start(group, 1);

        group.sidecar("web-0").awaitLog("is not permitted, polling every retry-period instead", LIMIT);
        group.sidecar("web-0").awaitLog("cannot watch resource \"" + resource + "\"", LIMIT);
        group.awaitLeader(LIMIT);
    }

    @ConcurrentTest
    void without_events_it_elects_and_writes_none() {
        Group group = groupWithRights();
        removeRight(group.namespace(), "create", "events");
        start(group, 2);
        String first = group.awaitLeader(LIMIT);
        assertEquals(0, group.term(first).exitCode(LIMIT));
        group.awaitLeaderOtherThan(first, LIMIT);

        assertEquals(List.of(), group.eventsOnLease());
    }

    @ConcurrentTest
    void without_patch_a_repeated_event_is_not_counted() {
        Group allowed = groupWithRights();
        leadTwice(allowed);
        allowed.await("the repeated event is counted", LIMIT, () -> timesLeader(allowed).equals("2"));

        Group denied = groupWithRights();
        removeRight(denied.namespace(), "patch", "events");
        leadTwice(denied);
        assertEquals(0, denied.term("web-0").exitCode(LIMIT));
        assertEquals("1", timesLeader(denied));
    }

    private void leadTwice(Group group) {
        start(group, 1);
        group.awaitLeader(LIMIT);
        group.await("the first event", LIMIT, () -> group.eventsOnLease().contains("web-0 became leader"));
        group.editLease(spec -> spec.setHolderIdentity(""));
        group.await("the end of the first leadership", LIMIT, () -> group.eventsOnLease().contains("web-0 stopped leading"));
        group.awaitLeader(LIMIT);
    }

    /** How often web-0 has become leader, as its Kubernetes Event tells. */
    private String timesLeader(Group group) {
        return groups.server().kubectl("get", "events", "-n", group.namespace(), "-o",
                "jsonpath={.items[?(@.message==\"web-0 became leader\")].count}").strip();
    }

    // --- The policy ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void with_the_policy_a_sidecar_may_patch_its_keys_of_its_pods_and_no_more() {
        RealServer server = groups.server();
        Assumptions.assumeTrue(server.canStop(), "the policy applies to a whole cluster, and this one is somebody else's");
        Group group = groupWithRights();
        group.createPod("probe", ACCOUNT);
        group.createPod("stranger");
        ApiClient sidecar = client(server.kubeconfigFor(group.namespace(), ACCOUNT));
        server.kubectl("apply", "-k", DEPLOY.resolve("policy").toString());
        try {
            Wait.until("the policy is in force", LIMIT,
                    () -> patch(sidecar, group, "probe", image()).contains("may not change the spec"));
            assertRefused("two labels", patch(sidecar, group, "probe", metadata("labels", "app", "\"evil\"")));
            assertRefused("its own service account", patch(sidecar, group, "stranger", metadata("labels", "web/is-leader", "\"false\"")));
            assertRefused("its own service account", patch(sidecar, group, "stranger", image()));
            assertRefused("the annotation", patch(sidecar, group, "probe", metadata("annotations", "a", "\"b\"")));
            assertRefused("owners or finalizers", patch(sidecar, group, "probe", "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}"));

            start(group, 2);
            String first = group.awaitLeader(LIMIT);
            group.term(first);
            group.awaitLeaderOtherThan(first, LIMIT);
        } finally {
            server.kubectl("delete", "-k", DEPLOY.resolve("policy").toString());
        }
    }

    /** A patch that changes the image, to another one each time: until the policy is in force, it is done. */
    private static String image() {
        return "{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"evil:" + System.nanoTime() + "\"}]}}";
    }

    private static void assertRefused(String reason, String answer) {
        assertTrue(answer.contains("ValidatingAdmissionPolicy") && answer.contains(reason), answer);
    }

    private static String metadata(String map, String key, String value) {
        return "{\"metadata\":{\"%s\":{\"%s\":%s}}}".formatted(map, key, value);
    }

    /** What the API server answers to this client's strategic merge patch of a pod. */
    private static String patch(ApiClient client, Group group, String pod, String patch) {
        try {
            return PatchUtils.patch(V1Pod.class,
                    () -> new CoreV1Api(client).patchNamespacedPod(pod, group.namespace(), new V1Patch(patch)).buildCall(null),
                    V1Patch.PATCH_FORMAT_STRATEGIC_MERGE_PATCH, client).toJson();
        } catch (ApiException e) {
            return e.getCode() + " " + e.getResponseBody();
        }
    }

    private static ApiClient client(Path kubeconfig) {
        try {
            return Config.fromConfig(kubeconfig.toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    private String restrictedNamespace() {
        String namespace = groups.server().newNamespace();
        groups.server().kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted");
        return namespace;
    }

    private void apply(String namespace, Path folder) {
        groups.server().kubectl("apply", "-n", namespace, "-k", folder.toString());
    }

    private String get(String namespace, String kind, String name, String path) {
        return groups.server().kubectl("get", kind, name, "-n", namespace, "-o", "jsonpath=" + path);
    }

    /** A kustomization of a workload with the component; kustomize wants relative paths. */
    private static Path kustomization(String workload) {
        Path folder = Folders.temporary("kustomization");
        Folders.write(folder, "workload.yaml", workload);
        Folders.write(folder, "kustomization.yaml", "{resources: [workload.yaml], components: [\""
                + folder.toAbsolutePath().relativize(DEPLOY.resolve("component")) + "\"]}");
        return folder;
    }

    /** Does what the workload's controller would: creates a pod after its template. The API server checks it, and fills in defaults. */
    private Map<String, Object> createPodOf(String namespace, String kind, String workload) {
        String stored = groups.server().kubectl("get", kind, workload, "-n", namespace, "-o", "json");
        Map<String, Object> template = Json.object(Json.parse(stored), "spec", "template");
        Map<String, Object> metadata = new TreeMap<>(Json.object(template, "metadata"));
        metadata.put("name", workload + "-0");
        groups.server().apply(namespace, Json.print(Map.of("apiVersion", "v1", "kind", "Pod", "metadata", metadata, "spec",
                Json.object(template, "spec"))));
        return Json.parse(groups.server().kubectl("get", "pod", workload + "-0", "-n", namespace, "-o", "json"));
    }

    private static boolean hasToken(Map<String, Object> pod, String container) {
        List<Map<String, Object>> containers = new ArrayList<>(objects(pod, "spec", "containers"));
        containers.addAll(objects(pod, "spec", "initContainers"));
        return containers.stream().filter(c -> container.equals(Json.text(c, "name"))).flatMap(c -> objects(c, "volumeMounts").stream())
                .anyMatch(mount -> "/var/run/secrets/kubernetes.io/serviceaccount".equals(Json.text(mount, "mountPath")));
    }

    private static List<?> list(Map<String, Object> tree, String... path) {
        return Json.at(tree, path) instanceof List<?> list ? list : List.of();
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> objects(Map<String, Object> tree, String... path) {
        return (List<Map<String, Object>>) list(tree, path);
    }

    /** A group without pods, and the service account of deploy/rbac. */
    private Group groupWithRights() {
        Group group = groups.empty(groups.server().newNamespace(), ELECTION, Group.FAST);
        apply(group.namespace(), DEPLOY.resolve("rbac"));
        return group;
    }

    private void start(Group group, int count) {
        Path kubeconfig = groups.server().kubeconfigFor(group.namespace(), ACCOUNT);
        for (int i = 0; i < count; i++) {
            if (!group.witness().pods().containsKey("web-" + i)) {
                group.createPod("web-" + i, ACCOUNT);
            }
            group.startSidecar("web-" + i, kubeconfig);
        }
    }

    /** Takes one verb on a resource out of the Role, in all of its rules. */
    private void removeRight(String namespace, String verb, String resource) {
        Map<String, Object> role = Json.parse(groups.server().kubectl("get", "role", ACCOUNT, "-n", namespace, "-o", "json"));
        List<Object> rules = new ArrayList<>();
        for (Map<String, Object> rule : objects(role, "rules")) {
            List<Object> verbs = new ArrayList<>(list(rule, "verbs"));
            if (list(rule, "resources").contains(resource)) {
                verbs.remove(verb);
            }
            if (!verbs.isEmpty()) {
                rules.add(Json.with(rule, "verbs", verbs));
            }
        }
        groups.server().apply(namespace, Json.print(Json.with(role, "rules", rules)));
    }
}
