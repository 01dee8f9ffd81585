import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.ClientBuilder;
import io.kubernetes.client.util.KubeConfig;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code --check} and what it prints, by the judgement of a real API server. */
@Real
class CheckTest {

    private static final int COMPLETE = 0;
    private static final int CHECK_FAILED = 3;
    private static final List<String> NEEDED = List.of("create leases.coordination.k8s.io", "get leases.coordination.k8s.io/web",
            "update leases.coordination.k8s.io/web", "list leases.coordination.k8s.io/web", "watch leases.coordination.k8s.io/web",
            "get pods", "list pods", "watch pods", "patch pods", "create events", "patch events");

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    private RealServer server;
    private Group group;
    private String namespace;

    @BeforeEach
    void createPod() {
        server = groups.server();
        group = groups.empty(server.newNamespace(), "web", Group.CALM);
        namespace = group.namespace();
        group.createPod("web-0");
    }

    private static Config config(String namespace, String pod, String leaseName) {
        return TestConfig.config().pod(pod).namespace(namespace).leaseName(leaseName).build();
    }

    /** What a check printed, and its exit code. */
    private record Result(int exitCode, String text) {

        /** Its lines up to the YAML. */
        List<String> lines() {
            return text.lines().takeWhile(line -> !line.equals("---")).toList();
        }

        /** What is missing, as it says. */
        List<String> missing() {
            return lines().stream().filter(line -> line.startsWith("missing ")).map(line -> line.substring(8).strip()).toList();
        }

        /** What is to be applied; empty if nothing is. */
        String manifests() {
            return text.contains("---\n") ? text.substring(text.indexOf("---\n")) : "";
        }
    }

    /** Checks in this JVM, with the rights of the kubeconfig. */
    private Result check(String pod, Path kubeconfig) throws IOException {
        ApiClient client = ClientBuilder.kubeconfig(KubeConfig.loadKubeConfig(Files.newBufferedReader(kubeconfig))).build();
        Config config = config(namespace, pod, "web");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (Kubernetes kubernetes = InProcessSidecar.kubernetes(config, client)) {
            int exitCode = PermissionCheck.print(config, kubernetes, new PrintStream(out, true, StandardCharsets.UTF_8));
            return new Result(exitCode, out.toString(StandardCharsets.UTF_8));
        }
    }

    /** Checks as people do, by the command line. */
    private Result command(Path kubeconfig) {
        return command(environment("web-0", kubeconfig));
    }

    private static Result command(Map<String, String> environment) {
        try (SidecarProcess process = SidecarProcess.start(environment, "--election-name=web", "--check")) {
            int exitCode = process.exitCode(Group.START);
            return new Result(exitCode, process.log());
        }
    }

    private Map<String, String> environment(String pod, Path kubeconfig) {
        return Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", pod, "POD_NAMESPACE", namespace);
    }

    private void accept(String manifests) {
        Path folder = Folders.temporary("manifests");
        try {
            server.kubectl("apply", "--dry-run=server", "-f", Folders.write(folder, "all.yaml", manifests).toString());
        } finally {
            Folders.delete(folder);
        }
    }

    /** What a native executable has set, a JVM reads from the variable that it itself does not ignore. */
    @ConcurrentTest
    void a_native_executable_says_that_it_ignores_java_tool_options() {
        Map<String, String> environment = new HashMap<>(environment("web-0", server.kubeconfig()));
        environment.put("JAVA_TOOL_OPTIONS", "-Dorg.graalvm.nativeimage.imagecode=runtime");
        Result result = command(environment);
        assertEquals(COMPLETE, result.exitCode(), result.text());
        assertTrue(result.text().contains("ignored JAVA_TOOL_OPTIONS (a native executable does not read it"), result.text());

        result = command(server.kubeconfig());
        assertFalse(result.text().contains("ignored"), result.text());
    }

    @ConcurrentTest
    void the_preferred_leader_is_named_with_what_keeps_it_from_leading() throws IOException {
        group.startSidecar("web-0");
        group.awaitLeader(Group.START);
        group.createPod("app-0");
        for (String line : List.of("ok      preferred leader web-0", "ignored preferred leader web-9 (no such pod)",
                "ignored preferred leader app-0 (no participant)")) {
            group.annotateLease("web/preferred-leader", line.split(" +")[3]);
            Result result = check("web-0", server.kubeconfig());
            assertEquals(COMPLETE, result.exitCode(), result.text());
            assertEquals(line, result.lines().getLast());
        }
    }

    // --- Rights ------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void with_all_rights_every_line_is_ok_and_nothing_is_to_be_applied() throws IOException {
        Result result = check("web-0", server.kubeconfig());
        assertEquals(COMPLETE, result.exitCode(), result.text());
        assertEquals("ok      pod " + namespace + "/web-0", result.lines().get(1));
        assertEquals(NEEDED.stream().map(access -> "ok      " + access).toList(), result.lines().subList(2, result.lines().size()));
        assertEquals("", result.manifests());
    }

    @ConcurrentTest
    void without_rights_it_prints_what_to_apply_and_once_that_is_applied_all_is_ok() {
        Path kubeconfig = server.kubeconfigFor(namespace, "sidecar");
        Result before = command(kubeconfig);
        assertEquals(CHECK_FAILED, before.exitCode(), before.text());
        assertEquals(NEEDED, before.missing().stream().filter(line -> !line.startsWith("pod ")).toList(), before.text());

        accept(before.manifests());
        server.apply(namespace, before.manifests());

        Result after = command(kubeconfig);
        assertEquals(COMPLETE, after.exitCode(), after.text());
        assertEquals(List.of(), after.missing());
        assertEquals("", after.manifests());
    }

    @ConcurrentTest
    void just_the_verbs_that_are_missing_are_called_missing() throws IOException {
        Path kubeconfig = server.kubeconfigFor(namespace, "sidecar");
        server.apply(namespace, """
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata: {name: partial}
                rules:
                - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [web], verbs: [get, list, watch]}
                - {apiGroups: [""], resources: [pods], verbs: [get, list, patch]}
                - {apiGroups: [""], resources: [pods/status], verbs: [watch]}
                - {apiGroups: [""], resources: [events], verbs: [patch]}
                """);
        server.kubectl("create", "rolebinding", "partial", "-n", namespace, "--role=partial", "--serviceaccount=" + namespace + ":sidecar");
        Result result = check("web-0", kubeconfig);
        assertEquals(CHECK_FAILED, result.exitCode(), result.text());
        assertEquals(List.of("create leases.coordination.k8s.io", "update leases.coordination.k8s.io/web", "watch pods", "create events"),
                result.missing());
        accept(result.manifests());
    }

    @ConcurrentTest
    void a_right_to_another_lease_is_none_to_this_one() throws IOException {
        Path kubeconfig = server.kubeconfigFor(namespace, "sidecar");
        server.apply(namespace, PermissionCheck.role(config(namespace, "web-0", "other"),
                "system:serviceaccount:" + namespace + ":sidecar"));
        assertEquals(NEEDED.subList(1, 5), check("web-0", kubeconfig).missing());
    }

    /** That no verb is missing from the list itself: a whole life with just these rights meets no refusal. */
    @ConcurrentTest.Alone
    void what_it_asks_for_is_enough_for_a_whole_life() {
        Path kubeconfig = server.kubeconfigFor(namespace, "sidecar");
        server.apply(namespace, PermissionCheck.role(config(namespace, "web-0", "web"), "system:serviceaccount:" + namespace + ":sidecar"));
        group.createPod("web-1");
        Map<String, Endpoint> endpoints = Map.of("web-0", Endpoint.free(), "web-1", Endpoint.free());
        Map<String, SidecarProcess> sidecars = Map.of("web-0", life("web-0", kubeconfig, endpoints),
                "web-1", life("web-1", kubeconfig, endpoints));
        try {
            String first = group.awaitLeader(Group.START);
            String other = group.otherThan(first);
            group.editLabel(other, group.keys().leadership(), "true");
            group.awaitLeader(Group.SOON);
            group.await("its event", Group.SOON, () -> group.eventsOnLease().contains(first + " became leader"));
            sidecars.get(first).term();
            assertEquals(other, group.awaitLeaderOtherThan(first, Group.SOON));
            group.await("events of the hand-over", Group.SOON, () -> group.eventsOnLease()
                    .containsAll(List.of(first + " stopped leading", other + " became leader")));
            PrometheusText metrics = PrometheusText.parse(endpoints.get(other).get("/metrics").body());
            assertTrue(metrics.families().get("leader_labeler_api_requests_total").samples().keySet().stream()
                    .noneMatch(labels -> labels.get("code").matches("40[13]")), metrics.toString());
        } finally {
            sidecars.values().forEach(sidecar -> {
                sidecar.close();
                assertFalse(sidecar.log().contains("WARN "), sidecar.log());
            });
        }
    }

    private SidecarProcess life(String pod, Path kubeconfig, Map<String, Endpoint> endpoints) {
        return SidecarProcess.start(environment(pod, kubeconfig), "--election-name=web", endpoints.get(pod).flag());
    }

    // --- Names -------------------------------------------------------------------------------------------------------

    /** Kubernetes takes these for names, YAML for numbers and worse. */
    @ConcurrentTest
    void names_that_look_like_numbers_or_need_quotes_make_valid_yaml() {
        String numeric = Long.toString(System.nanoTime());
        server.kubectl("create", "namespace", numeric);
        try {
            accept(PermissionCheck.role(config(numeric, "web-0", "2024"), "system:serviceaccount:" + numeric + ":1e3"));
            accept(PermissionCheck.role(config(numeric, "web-0", "null"), "a \"quoted\\user: #1 {x}"));
        } finally {
            server.kubectl("delete", "namespace", numeric, "--wait=false");
        }
    }

    // --- The rest ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_pod_that_does_not_exist_is_missing_though_all_rights_are_there() throws IOException {
        Result result = check("web-7", server.kubeconfig());
        assertEquals(CHECK_FAILED, result.exitCode());
        assertTrue(result.lines().get(1).startsWith("missing pod " + namespace + "/web-7"), result.text());
        assertEquals(1, result.missing().size(), result.text());
        assertEquals("", result.manifests());
    }
}
