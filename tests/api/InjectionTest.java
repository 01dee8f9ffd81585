import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.openapi.ApiClient;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import okhttp3.MediaType;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * deploy/injection on a real API server, where pods get service accounts and tokens as on any cluster: one label adds the sidecar to a pod
 * and changes nothing else of it.
 */
@Real
@Patient.WithProcesses
class InjectionTest {

    private static final Path DEPLOY = Path.of("deploy").toAbsolutePath();
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String SIDECAR = "leader-labeler";
    private static final String IMAGE = "leader-labeler:1.0.0";
    private static final String TOKEN = "leader-labeler-token";
    private static final Pattern VARIABLE = Pattern.compile("\\$\\((\\w+)\\)");

    @RegisterExtension
    static final Groups GROUPS = Groups.ofClass(() -> RealServer.start(ControlPlane.SERVICE_ACCOUNTS));

    /** The N of the first Kubernetes 1.N that serves admissionregistration.k8s.io/v1 MutatingAdmissionPolicy by default. */
    static final int MINOR_VERSION = 36;

    private static RealServer server;
    /** For what is not stored. It has the service accounts default and shop. */
    private static String space;
    /** The same with the restricted Pod Security Standard. */
    private static String restricted;

    @BeforeAll
    static void inject() {
        server = GROUPS.server();
        assumeTrue(server.canStop(), "the injection applies to a whole cluster, and this one is somebody else's");
        assumeTrue(server.minorVersion() >= MINOR_VERSION,
                "the injection needs a MutatingAdmissionPolicy, which Kubernetes has since 1." + MINOR_VERSION + "; this is " + server.title());
        server.controllerManager();
        space = server.newNamespace();
        server.apply(space, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop}}");
        restricted = server.newRestrictedNamespace();
        kubectl("apply", "-k", DEPLOY.resolve("injection").toString());
        awaitInjection(true);
    }

    /** Policies take effect some time after they were written. */
    private static void awaitInjection(boolean injected) {
        Wait.until("pods are " + (injected ? "" : "not ") + "injected", LIMIT,
                () -> sidecars(dryRun(pod("probe", "{leader-labeler/election: web}", ""))).size() == (injected ? 1 : 0));
        if (injected) {
            Wait.until("bad names are refused", LIMIT, () -> refusal(pod("probe", "{leader-labeler/election: A}", "")) != null);
        }
    }

    // --- What is added -------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"Deployment", "StatefulSet"})
    void an_unchanged_workload_gets_the_sidecar_by_one_label(String kind) {
        String namespace = server.newRestrictedNamespace();
        server.apply(namespace, workload(kind, "{app: shop, leader-labeler/election: my-shop}"));

        Map<String, Object> pod = awaitPods(namespace, "app=shop", 1).getFirst();

        assertEquals(List.of("shop", SIDECAR), names(pod, "containers"));
        assertEquals(sidecarOfComponent("component", "containers"), sidecars(pod).getFirst());
        List<?> containers = Json.list(get(namespace, kind, "shop"), "spec", "template", "spec", "containers");
        assertEquals(1, containers.size(), "the workload is as it was");
    }

    @Test
    void a_label_makes_it_a_native_sidecar_behind_the_init_containers_that_are_there() {
        Map<String, Object> pod = dryRun(restricted, pod("native", "{leader-labeler/election: web, leader-labeler/handover: after-exit}",
                "initContainers: [{name: migrate, image: migrate, securityContext: " + RESTRICTED + "}]"));

        assertEquals(List.of("app"), names(pod, "containers"));
        assertEquals(List.of("migrate", SIDECAR), names(pod, "initContainers"));
        assertEquals(sidecarOfComponent("component/native", "initContainers"), sidecars(pod).getFirst());
    }

    @Test
    void a_pod_that_completes_is_not_kept_running_by_its_sidecar() {
        Map<String, Object> sidecar = sidecars(dryRun(restricted, pod("once", "{leader-labeler/election: web}", "restartPolicy: Never")))
                .getFirst();

        assertEquals("Always", Json.text(sidecar, "restartPolicy"));
        assertEquals(List.of("--election-name=$(ELECTION_NAME)"), Json.list(sidecar, "args"));
    }

    @Test
    void a_volume_of_the_application_receives_the_role_file() {
        Map<String, Object> sidecar = sidecars(dryRun(restricted, pod("told", "{leader-labeler/election: web}",
                "volumes: [{name: leader-labeler-role, emptyDir: {}}]"))).getFirst();

        assertTrue(Json.list(sidecar, "args").contains("--role-file=/run/leader-labeler/role.json"), sidecar.toString());
        assertTrue(Json.objects(sidecar, "volumeMounts")
                .contains(Map.of("name", "leader-labeler-role", "mountPath", "/run/leader-labeler")), sidecar.toString());
    }

    /** A kubelet does not start a container that must not run as root, as the pod's user, who is root. */
    @ParameterizedTest
    @CsvSource({"'', ", "'securityContext: {runAsUser: 1000}', ", "'securityContext: {runAsUser: 0}', 65532"})
    void the_sidecar_of_an_application_that_is_root_has_the_images_user(String more, Long user) {
        Map<String, Object> sidecar = sidecars(dryRun(pod("user", "{leader-labeler/election: web}", more))).getFirst();

        assertEquals(user, Json.at(sidecar, "securityContext", "runAsUser"));
    }

    // --- What is left alone --------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "a bare pod               | {}",
        "an account of its own    | {serviceAccountName: shop}",
        "no token                 | {serviceAccountName: shop, automountServiceAccountToken: false}",
        "volumes of its own       | {volumes: [{name: data, emptyDir: {}}, {name: more, emptyDir: {}}]}",
        "no token, but volumes    | {automountServiceAccountToken: false, volumes: [{name: data, emptyDir: {}}]}",
        "containers that are done | {restartPolicy: OnFailure, initContainers: [{name: migrate, image: migrate}]}",
        "its own pod settings     | {hostname: shop, terminationGracePeriodSeconds: 7, shareProcessNamespace: true}",
    })
    void nothing_else_of_a_pod_changes(String what, String spec) {
        String more = spec.replaceAll("^\\{|}$", "");
        Map<String, Object> without = dryRun(pod("app", "{app: shop}", more));
        Map<String, Object> with = dryRun(pod("app", "{app: shop, leader-labeler/election: web}", more));

        assertEquals(1, sidecars(with).size());
        assertEquals(normal(Json.object(without, "spec")), normal(withoutSidecar(with)));
        assertEquals(Map.of("app", "shop", "leader-labeler/election", "web"), Json.object(with, "metadata", "labels"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"containers", "initContainers"})
    void a_pod_that_has_the_container_is_left_alone(String place) {
        String own = "{name: leader-labeler, image: mine, args: [--election-name=other]}";
        String app = "{name: app, image: app}";
        String spec = place.equals("containers") ? "containers: [" + app + ", " + own + "]"
                : "containers: [" + app + "], initContainers: [" + own.replace("image:", "restartPolicy: Always, image:") + "]";

        Map<String, Object> pod = dryRun("{apiVersion: v1, kind: Pod, metadata: {name: own, labels: "
                + "{leader-labeler/election: web}}, spec: {" + spec + "}}");

        assertEquals(List.of("mine"), sidecars(pod).stream().map(sidecar -> Json.text(sidecar, "image")).toList());
        assertFalse(names(pod, "volumes").contains(TOKEN));
    }

    @Test
    void a_volume_of_the_tokens_name_is_used_as_it_is() {
        Map<String, Object> pod = dryRun(pod("own", "{leader-labeler/election: web}",
                "automountServiceAccountToken: false, volumes: [{name: leader-labeler-token, emptyDir: {}}]"));

        assertEquals(List.of(Map.of("name", TOKEN, "emptyDir", Map.of())), Json.objects(pod, "spec", "volumes"));
        assertEquals(1, sidecars(pod).size());
    }

    @Test
    void a_pod_without_the_label_is_left_alone() {
        assertEquals(List.of(), sidecars(dryRun(pod("other", "{app: web}", ""))));
    }

    @Test
    void another_policy_that_runs_afterwards_does_not_add_a_second_sidecar() {
        server.apply("default", REINVOKING);
        try {
            Map<String, Object> pod = awaitMark();

            assertEquals(1, sidecars(pod).size());
            assertEquals(1, names(pod, "volumes").stream().filter(TOKEN::equals).count());
        } finally {
            kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", "zz-mark");
        }
    }

    /** Its name sorts after the injection's, so it runs after it; what it changes has the injection run once more. */
    private static final String REINVOKING = """
            apiVersion: admissionregistration.k8s.io/v1
            kind: MutatingAdmissionPolicy
            metadata: {name: zz-mark}
            spec:
              reinvocationPolicy: IfNeeded
              matchConstraints:
                resourceRules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
              matchConditions: [{name: once, expression: "!has(object.metadata.annotations) || !('mark' in object.metadata.annotations)"}]
              mutations:
              - patchType: ApplyConfiguration
                applyConfiguration: {expression: "Object{metadata: Object.metadata{annotations: {'mark': 'set'}}}"}
            ---
            apiVersion: admissionregistration.k8s.io/v1
            kind: MutatingAdmissionPolicyBinding
            metadata: {name: zz-mark}
            spec: {policyName: zz-mark}
            """;

    private static Map<String, Object> awaitMark() {
        Map<String, Object> pod = new LinkedHashMap<>();
        Wait.until("the second policy is in force", LIMIT, () -> {
            pod.putAll(dryRun(pod("twice", "{leader-labeler/election: web}", "")));
            return "set".equals(Json.text(pod, "metadata", "annotations", "mark"));
        });
        return pod;
    }

    // --- What is refused -----------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({"my.shop, Pod", "My-shop, Deployment", "9shops, StatefulSet", "shop_1, DaemonSet", "s.h.o.p, ReplicaSet", "'', Deployment",
        "1, Job", "my.shop, CronJob"})
    void a_name_that_cannot_work_is_refused_with_the_rule(String election, String kind) {
        String labels = "{app: shop, leader-labeler/election: \"" + election + "\"}";

        String refusal = refusal(kind.equals("Pod") ? pod("shop", labels, "") : workload(kind, labels));

        assertTrue(refusal != null && refusal.contains("label leader-labeler/election: \"" + election + "\" cannot name an election,"
                + " because it prefixes label keys; use a-z, 0-9 and \"-\", begin with a letter, do not end with \"-\""), refusal);
    }

    @Test
    void a_name_that_is_too_long_is_refused() {
        String refusal = refusal(workload("Deployment", "{app: shop, leader-labeler/election: " + "a".repeat(64) + "}"));

        assertTrue(refusal != null && refusal.contains("63"), refusal);
    }

    @ParameterizedTest
    @ValueSource(strings = {"a", "a1", "my-shop-2"})
    void a_name_that_works_is_accepted(String election) {
        String labels = "{app: shop, leader-labeler/election: " + election + "}";

        assertEquals(null, refusal(workload("Deployment", labels)));
        assertEquals(null, refusal(pod("shop", labels, "")));
    }

    @ParameterizedTest
    @CsvSource({"changed, leader-labeler/election=blue, {leader-labeler/election: red}",
        "removed, leader-labeler/election-, {leader-labeler/election: red}", "added, leader-labeler/election=red, {app: shop}"})
    void the_election_of_a_pod_that_exists_cannot_be(String what, String label, String labels) {
        server.apply(space, pod(what, labels, ""));

        IllegalStateException refused = assertThrows(IllegalStateException.class,
                () -> kubectl("label", "pod", what, "-n", space, "--overwrite", label));

        assertTrue(refused.getMessage().contains("label leader-labeler/election is fixed when a pod is created"), refused.getMessage());
        kubectl("label", "pod", what, "-n", space, "--overwrite", "app=other");
    }

    @Test
    void an_unknown_hand_over_is_refused() {
        String refusal = refusal(pod("late", "{leader-labeler/election: web, leader-labeler/handover: late}", ""));

        assertTrue(refusal != null
                && refusal.contains("label leader-labeler/handover: \"late\" is unknown; use \"early\" or \"after-exit\""), refusal);
    }

    @ParameterizedTest
    @ValueSource(strings = {"containers", "initContainers"})
    void an_application_that_has_the_sidecars_port_is_refused(String place) {
        String other = "{name: other, image: app, ports: [{containerPort: 4040}]}";
        String refusal = refusal("{apiVersion: v1, kind: Pod, metadata: {name: busy, labels: {leader-labeler/election: web}},"
                + " spec: " + (place.equals("containers") ? "{containers: [" + other + "]}}"
                : "{containers: [{name: app, image: app}], initContainers: [" + other + "]}}"));

        assertTrue(refusal != null && refusal.contains("containerPort 4040 cannot be the application's"), refusal);
    }

    @Test
    void an_application_has_that_port_beside_a_sidecar_of_its_own_at_another_one() {
        String containers = "{name: app, image: app, ports: [{containerPort: 4040}]},"
                + " {name: leader-labeler, image: mine, args: [--election-name=web, \"--http-address=:5050\"]}";

        assertEquals(null, refusal("{apiVersion: v1, kind: Pod, metadata: {name: own, labels: {leader-labeler/election: web}},"
                + " spec: {containers: [" + containers + "]}}"));
    }

    @Test
    void a_workload_from_before_can_still_be_scaled() {
        String namespace = server.newNamespace();
        kubectl("delete", "-k", DEPLOY.resolve("injection/names").toString());
        Wait.until("bad names are accepted", LIMIT, () -> refusal(workload("Deployment", BAD)) == null);
        server.apply(namespace, workload("Deployment", BAD));
        kubectl("apply", "-k", DEPLOY.resolve("injection/names").toString());
        awaitInjection(true);

        kubectl("scale", "deployment", "shop", "-n", namespace, "--replicas=0");

        String refusal = refusal(workload("Deployment", BAD).replace("image: shop", "image: shop:2"));
        assertTrue(refusal != null && refusal.contains("cannot name an election"), refusal);
    }

    private static final String BAD = "{app: shop, leader-labeler/election: my.shop}";

    // --- What can be set -----------------------------------------------------------------------------------------------

    @Test
    void image_flags_variables_and_resources_are_set_by_kustomize() {
        Path folder = Folders.temporary("injection");
        Folders.write(folder, "kustomization.yaml", """
                resources: ["%s"]
                patches:
                - target: {kind: MutatingAdmissionPolicy}
                  patch: |-
                    - {op: replace, path: /spec/variables/0/expression, value: "'registry.example.com/leader-labeler:2.0.0'"}
                    - {op: replace, path: /spec/variables/1/expression, value: "['--election-name=$(ELECTION_NAME)', '--unready-grace=0s']"}
                    - {op: replace, path: /spec/variables/2/expression, value: "{'JAVA_TOOL_OPTIONS': '-Xmx40m'}"}
                    - {op: replace, path: /spec/variables/3/expression, value: "{'cpu': '20m'}"}
                    - {op: replace, path: /spec/variables/4/expression, value: "{'cpu': '100m', 'memory': '96Mi'}"}
                    - {op: replace, path: /spec/variables/5/expression, value: optional.of(12345)}
                """.formatted(folder.toAbsolutePath().relativize(DEPLOY.resolve("injection"))));
        kubectl("apply", "-k", folder.toString());
        try {
            awaitImage("registry.example.com/leader-labeler:2.0.0");
            Map<String, Object> sidecar = sidecarOfDryRun();

            assertEquals(List.of("--election-name=$(ELECTION_NAME)", "--unready-grace=0s"), Json.list(sidecar, "args"));
            assertTrue(Json.objects(sidecar, "env").contains(Map.of("name", "JAVA_TOOL_OPTIONS", "value", "-Xmx40m")), sidecar.toString());
            assertEquals(Map.of("requests", Map.of("cpu", "20m", "memory", "96Mi"), "limits", Map.of("cpu", "100m", "memory", "96Mi")),
                    Json.object(sidecar, "resources"));
            assertEquals(12345L, Json.at(sidecar, "securityContext", "runAsUser"));
        } finally {
            kubectl("apply", "-k", DEPLOY.resolve("injection").toString());
            awaitImage(IMAGE);
        }
    }

    private static void awaitImage(String image) {
        String pod = pod("set", "{leader-labeler/election: web}", "");
        Wait.until("pods get " + image, LIMIT, () -> {
            try {
                return sidecars(dryRun(pod)).stream().anyMatch(sidecar -> image.equals(Json.text(sidecar, "image")));
            } catch (IllegalStateException refused) {
                return false;
            }
        });
    }

    private static Map<String, Object> sidecarOfDryRun() {
        return sidecars(dryRun(pod("set", "{leader-labeler/election: web}", ""))).getFirst();
    }

    // --- That it works -------------------------------------------------------------------------------------------------

    @Test
    void two_elections_of_a_namespace_have_a_leader_each_under_the_policy() {
        String namespace = server.newNamespace();
        kubectl("apply", "-n", namespace, "-k", DEPLOY.resolve("injection/namespace").toString());
        kubectl("apply", "-k", DEPLOY.resolve("policy").toString());
        List<SidecarProcess> processes = new ArrayList<>();
        try {
            for (String election : List.of("red", "blue")) {
                server.apply(namespace, workload("Deployment", "{app: %s, leader-labeler/election: %s}".formatted(election, election))
                        .replace("name: shop}", "name: " + election + "}"));
                awaitPods(namespace, "app=" + election, 2).forEach(pod -> processes.add(start(namespace, pod)));
            }
            for (String election : List.of("red", "blue")) {
                Wait.until("one of two pods leads " + election, LIMIT, () -> labels(namespace, election).equals(List.of("false", "true")));
                assertEquals(Set.of(election + "/is-leader", election + "/participant"), leadershipKeys(namespace, election));
            }
        } finally {
            processes.forEach(SidecarProcess::close);
            kubectl("delete", "-k", DEPLOY.resolve("policy").toString());
        }
    }

    /** Does what a kubelet would with the injected container: environment, arguments and token as the pod has them. */
    private static SidecarProcess start(String namespace, Map<String, Object> pod) {
        Map<String, Object> sidecar = sidecars(pod).getFirst();
        Map<String, String> environment = new TreeMap<>();
        for (Map<String, Object> variable : Json.objects(sidecar, "env")) {
            String path = Json.text(variable, "valueFrom", "fieldRef", "fieldPath");
            Matcher label = Pattern.compile("metadata\\.labels\\['(.+)']").matcher(path);
            environment.put(Json.text(variable, "name"), label.matches() ? Json.text(pod, "metadata", "labels", label.group(1))
                    : Json.text(pod, path.split("\\.")));
        }
        Stream<String> arguments = Json.list(sidecar, "args").stream().map(argument -> VARIABLE.matcher((String) argument)
                .replaceAll(name -> environment.get(name.group(1))));
        String account = Json.text(pod, "spec", "serviceAccountName");
        String name = Json.text(pod, "metadata", "name");
        environment.put("KUBECONFIG", server.kubeconfigOfPod(namespace, account, name).toString());
        // All pods have this machine's address here, so no two can listen at 4040.
        return SidecarProcess.start(environment, Stream.concat(arguments, Stream.of("--http-address=off")).toArray(String[]::new));
    }

    private static List<String> labels(String namespace, String election) {
        return pods(namespace, "app=" + election).stream()
                .map(pod -> String.valueOf(Json.text(pod, "metadata", "labels", election + "/is-leader"))).sorted().toList();
    }

    private static Set<String> leadershipKeys(String namespace, String election) {
        return pods(namespace, "app=" + election).stream().flatMap(pod -> Json.object(pod, "metadata", "labels").keySet().stream())
                .filter(key -> key.endsWith("/is-leader") || key.endsWith("/participant")).collect(Collectors.toSet());
    }

    @Test
    void after_its_removal_pods_come_without_sidecar_and_when_it_is_applied_again_with_the_new_one() {
        kubectl("delete", "mutatingadmissionpolicybinding", "leader-labeler-injection");
        try {
            awaitInjection(false);
            kubectl("delete", "-k", DEPLOY.resolve("injection").toString(), "--ignore-not-found");
            String other = kubectl("kustomize", DEPLOY.resolve("injection").toString()).replace(IMAGE, "leader-labeler:2.0.0");
            kubectl("apply", "-f", Folders.write(Folders.temporary("injection"), "injection.yaml", other).toString());
            awaitImage("leader-labeler:2.0.0");
        } finally {
            kubectl("apply", "-k", DEPLOY.resolve("injection").toString());
            awaitImage(IMAGE);
            awaitInjection(true);
        }
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    private static final String RESTRICTED = "{runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]},"
            + " seccompProfile: {type: RuntimeDefault}}";

    private static String kubectl(String... arguments) {
        return server.kubectl(arguments);
    }

    /** A pod that meets the restricted standard, unless {@code more} of its spec breaks it. */
    private static String pod(String name, String labels, String more) {
        return ("{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: %s},"
                + " spec: {containers: [{name: app, image: app, securityContext: %s}]%s}}")
                .formatted(name, labels, RESTRICTED, more.isEmpty() ? "" : ", " + more);
    }

    private static String workload(String kind, String labels) {
        String template = "{metadata: {labels: " + labels + "}, spec: {" + (kind.endsWith("Job") ? "restartPolicy: Never, " : "")
                + "containers: [{name: shop, image: shop, securityContext: " + RESTRICTED + "}]}}";
        String selected = "selector: {matchLabels: {app: " + labels.replaceAll(".*app: (\\w+).*", "$1") + "}}, template: " + template;
        String spec = switch (kind) {
            case "StatefulSet" -> "serviceName: shop, " + selected;
            case "Deployment", "ReplicaSet" -> "replicas: 2, " + selected;
            case "Job" -> "template: " + template;
            case "CronJob" -> "schedule: \"@daily\", jobTemplate: {spec: {template: " + template + "}}";
            default -> selected;
        };
        String version = kind.endsWith("Job") ? "batch/v1" : "apps/v1";
        return "{apiVersion: %s, kind: %s, metadata: {name: shop}, spec: {%s}}".formatted(version, kind, spec);
    }

    private static Map<String, Object> dryRun(String manifest) {
        return dryRun(space, manifest);
    }

    /** What would be stored; IllegalStateException with the reason if the API server refuses it. */
    private static Map<String, Object> dryRun(String namespace, String manifest) {
        Matcher type = Pattern.compile("apiVersion: (\\S+), kind: (\\w+)").matcher(manifest);
        assertTrue(type.find(), manifest);
        String path = (type.group(1).contains("/") ? "/apis/" : "/api/") + type.group(1) + "/namespaces/" + namespace + "/"
                + type.group(2).toLowerCase(Locale.ROOT) + "s?dryRun=All&fieldValidation=Strict";
        ApiClient client = server.client();
        Request request = new Request.Builder().url(client.getBasePath() + path).header("Accept", "application/json")
                .post(RequestBody.create(manifest.getBytes(StandardCharsets.UTF_8), MediaType.get("application/yaml"))).build();
        try (Response response = client.getHttpClient().newCall(request).execute()) {
            Map<String, Object> body = Json.parse(response.body().string());
            if (!response.isSuccessful()) {
                throw new IllegalStateException(Json.text(body, "message"));
            }
            return body;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Why the API server refuses it, null if it does not. */
    private static String refusal(String manifest) {
        try {
            dryRun(manifest);
            return null;
        } catch (IllegalStateException refused) {
            return refused.getMessage();
        }
    }

    private static Map<String, Object> get(String namespace, String kind, String name) {
        return Json.parse(kubectl("get", kind, name, "-n", namespace, "-o", "json"));
    }

    private static List<Map<String, Object>> awaitPods(String namespace, String selector, int count) {
        Wait.until(count + " pods with " + selector, LIMIT, () -> pods(namespace, selector).size() >= count);
        return pods(namespace, selector);
    }

    private static List<Map<String, Object>> pods(String namespace, String selector) {
        return Json.objects(Json.parse(kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json")), "items");
    }

    /** The sidecar that deploy/component makes of a workload, with the API server's defaults. */
    private static Map<String, Object> sidecarOfComponent(String component, String place) {
        Path folder = Folders.temporary("component");
        Folders.write(folder, "workload.yaml", workload("Deployment", "{app: shop, leader-labeler/election: web}"));
        Folders.write(folder, "kustomization.yaml", "{resources: [workload.yaml], components: [\""
                + folder.toAbsolutePath().relativize(DEPLOY.resolve(component)) + "\"]}");
        Map<String, Object> stored = Json.parse(kubectl("create", "-n", restricted, "--dry-run=server", "-o", "json", "-k",
                folder.toString()));
        return Json.objects(stored, "spec", "template", "spec", place).stream()
                .filter(container -> SIDECAR.equals(Json.text(container, "name"))).findFirst().orElseThrow();
    }

    private static List<Map<String, Object>> sidecars(Map<String, Object> pod) {
        return Stream.of("containers", "initContainers").flatMap(place -> Json.objects(pod, "spec", place).stream())
                .filter(container -> SIDECAR.equals(Json.text(container, "name"))).toList();
    }

    private static Map<String, Object> withoutSidecar(Map<String, Object> pod) {
        Map<String, Object> spec = Json.object(pod, "spec");
        for (String place : List.of("containers", "initContainers", "volumes")) {
            List<Map<String, Object>> others = Json.objects(spec, place).stream()
                    .filter(each -> !Set.of(SIDECAR, TOKEN).contains(Json.text(each, "name"))).toList();
            spec = Json.with(spec, place, others.isEmpty() ? null : others);
        }
        return spec;
    }

    /** The API server draws names for the volumes of tokens. */
    private static String normal(Map<String, Object> spec) {
        return Json.print(new TreeMap<>(spec)).replaceAll("kube-api-access-\\w{5}", "kube-api-access-xxxxx");
    }

    private static List<String> names(Map<String, Object> pod, String place) {
        return Json.objects(pod, "spec", place).stream().map(each -> Json.text(each, "name")).toList();
    }
}
