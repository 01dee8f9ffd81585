import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

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
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import okhttp3.Response;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.api.parallel.ResourceLock;
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
        String namespace = groups.server().newRestrictedNamespace();
        apply(namespace, DEPLOY.resolve(folder));

        Map<String, Object> pod = createPodOf(namespace, kind, "web");

        assertEquals(ACCOUNT, Json.text(pod, "spec", "serviceAccountName"));
        assertTrue(hasToken(pod, "leader-labeler"), "the sidecar has a token");
        assertFalse(hasToken(pod, "web"), "the application has none");
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"component, Deployment, containers", "component, StatefulSet, containers", "component/native, Deployment, initContainers",
        "component/native, StatefulSet, initContainers"})
    void the_component_adds_the_sidecar_and_changes_nothing_else(String component, String kind, String place) {
        String namespace = groups.server().newRestrictedNamespace();
        Map<String, Object> plain = template(namespace, kustomization(workload(kind, "shop", LABELLED), ""));

        Map<String, Object> with = template(namespace, kustomization(workload(kind, "shop", LABELLED), component));

        List<Map<String, Object>> containers = Json.objects(with, "spec", place);
        assertEquals("leader-labeler", Json.text(containers.getLast(), "name"));
        assertEquals(plain, withoutSidecar(with, place));
        assertTrue(hasToken(with, "leader-labeler"), "the sidecar has a token");
    }

    /** Whatever is not ours: a strategic merge or a replacement of the template would lose or reorder some of it. */
    private static final String LABELLED = """
            metadata: {labels: {app: shop, leader-labeler/election: my-shop}, annotations: {example.com/a: b}}
            spec:
              serviceAccountName: shop
              hostname: shop
              initContainers:
              - {name: first, image: first, securityContext: &restricted {runAsNonRoot: true, allowPrivilegeEscalation: false,
                 capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}
              - {name: second, image: second, securityContext: *restricted}
              containers:
              - {name: shop, image: shop, securityContext: *restricted}
              - {name: log, image: log, securityContext: *restricted, volumeMounts: [{name: data, mountPath: /data}]}
              volumes:
              - {name: data, emptyDir: {}}
            """;

    private static Map<String, Object> withoutSidecar(Map<String, Object> template, String place) {
        Map<String, Object> spec = Json.object(template, "spec");
        spec = Json.with(spec, place, Json.objects(spec, place).stream()
                .filter(container -> !"leader-labeler".equals(Json.text(container, "name"))).toList());
        spec = Json.with(spec, "volumes", Json.objects(spec, "volumes").stream()
                .filter(volume -> !"leader-labeler-token".equals(Json.text(volume, "name"))).toList());
        return Json.with(template, "spec", spec);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"component", "component/native"})
    void the_component_refuses_a_workload_that_names_no_election(String component) {
        Path folder = kustomization(workload("Deployment", "shop", LABELLED.replace(", leader-labeler/election: my-shop", "")), component);

        IllegalStateException refused = assertThrows(IllegalStateException.class,
                () -> groups.server().kubectl("kustomize", folder.toString()));

        assertTrue(refused.getMessage().contains("nonexistent key: leader-labeler/election"), refused.getMessage());
    }

    @ConcurrentTest
    void two_components_of_a_namespace_share_no_label_and_no_account() {
        String namespace = groups.server().newRestrictedNamespace();
        for (String election : List.of("red", "blue")) {
            String labelled = LABELLED.replace("my-shop", election).replace("app: shop", "app: " + election);
            apply(namespace, kustomization(workload("Deployment", election, labelled), "component"));
            groups.server().apply(namespace, election(election, "--service-account=shop", "--port=8081").output());
        }

        for (String election : List.of("red", "blue")) {
            assertEquals("{\"" + election + "/is-leader\":\"true\"}", get(namespace, "service", election + "-leader", "{.spec.selector}"));
            assertEquals("8081", get(namespace, "service", election + "-leader", "{.spec.ports[0].targetPort}"));
            assertEquals("[\"" + election + "\"]", get(namespace, "role", "leader-labeler-" + election, "{.rules[1].resourceNames}"));
            assertEquals("leader-labeler-" + election, get(namespace, "rolebinding", "leader-labeler-" + election, "{.roleRef.name}"));
            assertEquals("shop", get(namespace, "rolebinding", "leader-labeler-" + election, "{.subjects[0].name}"));
            assertEquals("{\"leader-labeler/election\":\"" + election + "\"}",
                    get(namespace, "networkpolicy", "leader-labeler-" + election, "{.spec.podSelector.matchLabels}"));
            assertEquals("8081 election",
                    get(namespace, "networkpolicy", "leader-labeler-" + election, "{.spec.ingress[*].ports[*].port}"));
        }
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource(delimiter = '|', value = {
        "'' | election: no name; usage: election NAME",
        "my.shop | \"my.shop\" cannot name an election, because it prefixes label keys",
        "Shop | \"Shop\" cannot name an election",
        "1shop | \"1shop\" cannot name an election",
        "shop- | \"shop-\" cannot name an election",
        "a123456789a123456789a123456789a123456789a123456789a123456789a123 | has 64 characters: use 63 at most",
        "a123456789a123456789a123456789a123456789a123456789a123456 --port=80 | cannot have a Service",
        "shop --port=http | \"http\" cannot be a port",
        "shop --port=65536 | \"65536\" cannot be a port",
        "shop --port=4040 | the sidecar listens there",
        "shop --service-account=a:b | \"a:b\" cannot name a service account",
        "shop --service-account= | \"\" cannot name a service account",
        "shop bar | \"bar\": one election at a time",
        "shop --help | --help: unknown; usage: election NAME",
    })
    void the_generator_refuses_what_cannot_work_and_prints_nothing(String arguments, String message) {
        Program.Outcome outcome = election(arguments.split(" "));

        assertEquals(2, outcome.code());
        assertEquals("", outcome.output());
        assertTrue(outcome.errors().startsWith("election: ") && outcome.errors().contains(message), outcome.errors());
    }

    /** Runs deploy/election. */
    private static Program.Outcome election(String... arguments) {
        List<String> command = new ArrayList<>(List.of(DEPLOY.resolve("election").toString()));
        command.addAll(List.of(arguments));
        return Program.run(Map.of(), command);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"rbac", "leader", "example", "native-sidecar", "injection", "injection/names", "injection/namespace",
        "injection/network-policy/open", "injection/network-policy/isolated", "policy"})
    void the_api_server_takes_every_folder_without_a_warning(String folder) {
        assumeTrue(!folder.equals("injection") || groups.server().minorVersion() >= InjectionTest.MINOR_VERSION,
                "the injection needs Kubernetes 1." + InjectionTest.MINOR_VERSION);
        String namespace = groups.server().newRestrictedNamespace();
        Program.Outcome outcome = groups.server().tryKubectl("apply", "--dry-run=server", "-n", namespace, "-k",
                DEPLOY.resolve(folder).toString());

        assertEquals("", outcome.errors());
    }

    @ConcurrentTest
    void a_namespace_with_the_restricted_standard_refuses_what_does_not_meet_it() {
        String namespace = groups.server().newRestrictedNamespace();

        IllegalStateException refused = assertThrows(IllegalStateException.class, () -> groups.server().apply(namespace,
                "apiVersion: v1\nkind: Pod\nmetadata: {name: lax}\nspec: {containers: [{name: app, image: app}]}")); // no JSON for older kubectls

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

    /** In this JVM, which is quick; what the log says of refusals, BadInputTest and PermissionTest show. */
    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"create, leases", "get, leases", "update, leases", "list, leases", "get, pods", "list, pods", "patch, pods"})
    void without_one_of_them_a_sidecar_is_refused(String verb, String resource) {
        Group group = groupWithRights();
        removeRight(group.namespace(), verb, resource);
        group.createPod("web-0", ACCOUNT);
        Set<String> refusals = ConcurrentHashMap.newKeySet();
        ApiClient client = client(groups.server().kubeconfigFor(group.namespace(), ACCOUNT));
        client.setHttpClient(client.getHttpClient().newBuilder().addInterceptor(chain -> {
            Response response = chain.proceed(chain.request());
            if (response.code() == 403) {
                refusals.add(response.peekBody(Long.MAX_VALUE).string());
            }
            return response;
        }).build());
        InProcessSidecar sidecar = InProcessSidecar.start(TestConfig.config().namespace(group.namespace()).build(), client);

        group.await("a refusal to " + verb + " " + resource, LIMIT, () -> refusals.stream()
                .anyMatch(refusal -> refusal.contains("cannot " + verb + " resource \\\"" + resource + "\\\"")));
        sidecar.stop();
    }

    @ConcurrentTest
    void a_repeated_event_is_counted_and_without_the_right_to_that_none_is_written() {
        Group allowed = groupWithRights();
        leadTwice(allowed);
        allowed.await("the repeated event is counted", LIMIT, () -> timesLeader(allowed).equals("2"));

        Group denied = groupWithRights();
        removeRight(denied.namespace(), "patch", "events");
        start(denied, 1);
        denied.awaitLeader(LIMIT);
        assertEquals(0, denied.term("web-0").exitCode(LIMIT));
        assertEquals(List.of(), denied.eventsOnLease());
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
    @ResourceLock(POLICY)
    void with_the_policy_a_sidecar_may_patch_its_keys_of_its_pods_and_no_more() {
        RealServer server = groups.server();
        assumeTrue(server.canStop(), "the policy applies to a whole cluster, and this one is somebody else's");
        Group group = groupWithRights();
        group.createPod("probe", ACCOUNT);
        group.createPod("stranger");
        ApiClient sidecar = client(server.kubeconfigFor(group.namespace(), ACCOUNT));
        server.kubectl("apply", "-k", DEPLOY.resolve("policy").toString());
        try {
            Wait.until("the policy is in force", LIMIT,
                    () -> patch(sidecar, group, "probe", image()).contains("may not change the spec"));
            assertRefused("two labels", patch(sidecar, group, "probe", metadata("labels", "app", "\"evil\"")));
            assertRefused("two labels", patch(sidecar, group, "probe", metadata("labels", "other/is-leader", "\"true\"")));
            assertRefused("its own service account", patch(sidecar, group, "stranger", metadata("labels", "web/is-leader", "\"false\"")));
            assertRefused("its own service account", patch(sidecar, group, "stranger", image()));
            assertRefused("the annotations", patch(sidecar, group, "probe", metadata("annotations", "a", "\"b\"")));
            assertRefused("the annotations", patch(sidecar, group, "probe", metadata("annotations", "web/preferred-leader", "\"b\"")));
            assertRefused("owners or finalizers", patch(sidecar, group, "probe", "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}"));
            for (String written : List.of(
                    metadata("labels", "web/is-leader", "\"false\""), metadata("labels", "web/participant", "\"true\""),
                    metadata("annotations", "web/epoch", "\"1\""), metadata("annotations", "web/deletion-cost", "\"100\""),
                    metadata("annotations", COST, "\"100\""), metadata("annotations", COST, "null"))) {
                assertDone(patch(sidecar, group, "probe", written));
            }

            start(group, 2);
            String first = group.awaitLeader(LIMIT);
            group.term(first);
            group.awaitLeaderOtherThan(first, LIMIT);
        } finally {
            server.kubectl("delete", "-k", DEPLOY.resolve("policy").toString());
        }
    }

    @ConcurrentTest
    @ResourceLock(POLICY)
    void with_the_policy_an_account_that_has_other_tasks_is_limited_only_as_a_sidecar() {
        RealServer server = groups.server();
        assumeTrue(server.canStop(), "the policy applies to a whole cluster, and this one is somebody else's");
        Group group = groups.empty(server.newNamespace(), ELECTION, Group.FAST);
        server.kubeconfigFor(group.namespace(), "shop");
        server.apply(group.namespace(), election("red", "--service-account=shop").output());
        group.createPod("app-0", "shop");
        group.createPod("app-1", "shop");
        server.kubectl("label", "pod", "-n", group.namespace(), "--all", "leader-labeler/election=red");
        ApiClient sidecar = client(server.kubeconfigOfPod(group.namespace(), "shop", "app-0"));
        server.kubectl("apply", "-k", DEPLOY.resolve("policy").toString());
        try {
            Wait.until("the policy is in force", LIMIT,
                    () -> patch(sidecar, group, "app-0", image()).contains("may not change the spec"));
            assertRefused("two labels", patch(sidecar, group, "app-0", metadata("labels", "blue/is-leader", "\"false\"")));
            assertRefused("two labels", patch(sidecar, group, "app-0", metadata("labels", "leader-labeler/election", "\"blue\"")));
            assertRefused("no pod but its own", patch(sidecar, group, "app-1", metadata("labels", "red/is-leader", "\"true\"")));
            assertDone(patch(sidecar, group, "app-0", metadata("labels", "red/is-leader", "\"true\"")));
            assertDone(patch(sidecar, group, "app-1", metadata("labels", "red/is-leader", "\"false\"")));

            server.kubectl("create", "role", "app", "-n", group.namespace(), "--verb=update", "--resource=pods");
            server.kubectl("create", "rolebinding", "app", "-n", group.namespace(), "--role=app", "--serviceaccount=" + group.namespace()
                    + ":shop");
            Wait.until("an account that may update pods may go on patching them", LIMIT,
                    () -> !patch(sidecar, group, "app-1", image()).contains("ValidatingAdmissionPolicy"));
        } finally {
            server.kubectl("delete", "-k", DEPLOY.resolve("policy").toString());
        }
    }

    /** The policy of the cluster: one test at a time applies and deletes it. */
    private static final String POLICY = "policy";
    private static final String COST = "controller.kubernetes.io/pod-deletion-cost";

    private static void assertDone(String answer) {
        assertFalse(answer.matches("(?s)\\d{3} .*"), answer);
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

    private void apply(String namespace, Path folder) {
        groups.server().kubectl("apply", "-n", namespace, "-k", folder.toString());
    }

    private String get(String namespace, String kind, String name, String path) {
        return groups.server().kubectl("get", kind, name, "-n", namespace, "-o", "jsonpath=" + path);
    }

    private static String workload(String kind, String name, String template) {
        return """
                apiVersion: apps/v1
                kind: %s
                metadata: {name: %s}
                spec:
                  selector: {matchLabels: {app: %s}}
                  template:
                %s""".formatted(kind, name, template.replaceAll("(?s).*app: (\\w+).*", "$1"), template.indent(4));
    }

    /** A kustomization of a workload with a component, or none if that is empty; kustomize wants relative paths. */
    private static Path kustomization(String workload, String component) {
        Path folder = Folders.temporary("kustomization");
        Folders.write(folder, "workload.yaml", workload);
        String components = component.isEmpty() ? "" : "\"" + folder.toAbsolutePath().relativize(DEPLOY.resolve(component)) + "\"";
        Folders.write(folder, "kustomization.yaml", "{resources: [workload.yaml], components: [" + components + "]}");
        return folder;
    }

    /** The pod template that the API server would store. */
    private Map<String, Object> template(String namespace, Path folder) {
        return Json.object(Json.parse(groups.server().kubectl("create", "-n", namespace, "--dry-run=server", "-o", "json", "-k",
                folder.toString())), "spec", "template");
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
        List<Map<String, Object>> containers = new ArrayList<>(Json.objects(pod, "spec", "containers"));
        containers.addAll(Json.objects(pod, "spec", "initContainers"));
        return containers.stream().filter(c -> container.equals(Json.text(c, "name")))
                .flatMap(c -> Json.objects(c, "volumeMounts").stream())
                .anyMatch(mount -> "/var/run/secrets/kubernetes.io/serviceaccount".equals(Json.text(mount, "mountPath")));
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
        for (Map<String, Object> rule : Json.objects(role, "rules")) {
            List<Object> verbs = new ArrayList<>(Json.list(rule, "verbs"));
            if (Json.list(rule, "resources").contains(resource)) {
                verbs.remove(verb);
            }
            if (!verbs.isEmpty()) {
                rules.add(Json.with(rule, "verbs", verbs));
            }
        }
        groups.server().apply(namespace, Json.print(Json.with(role, "rules", rules)));
    }
}
