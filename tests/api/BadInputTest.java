import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Bad input gets one line that names flag, value and rule. Without the permission to watch, a sidecar says so and polls. */
@Tag(SidecarCommand.TAG)
class BadInputTest {

    private static final int FAILURE = 1;
    private static final int USAGE = 2;

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    /** Which says where it found them; that must not be taken for something that the program said. */
    @BeforeAll
    static void findControlPlane() {
        RealServer.unavailable();
    }

    // --- Flags -------------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @MethodSource
    void a_bad_flag_gets_one_line_that_names_flag_value_and_rule(String flag, String value, String rule, List<String> arguments) {
        List<String> all = new ArrayList<>(List.of("--pod-name=web-0", "--namespace=default", "--election-name=web"));
        all.removeIf(argument -> arguments.stream().anyMatch(own -> own.split("=")[0].equals(argument.split("=")[0])));
        all.addAll(arguments);

        String said = saidWhenRefused(all);

        assertTrue(said.startsWith("leader-labeler: ") && said.contains(flag) && said.contains(value) && said.contains(rule), said);
    }

    /** One for each flag; RulesTest has the others. */
    static Stream<Arguments> a_bad_flag_gets_one_line_that_names_flag_value_and_rule() {
        return Stream.of(
                bad("--election-name", "1web", "RFC 1035 label"), bad("--leadership-label", "a/b/c", "label key"),
                bad("--participation-label", "web/is-leader", "must differ from --leadership-label"),
                bad("--lease-duration", "15500ms", "whole seconds"), bad("--renew-deadline", "20s", "less than --lease-duration"),
                bad("--retry-period", "2sec", "must be a duration"), bad("--pod-name", "web_0", "name of a pod"),
                bad("--namespace", "my.space", "name of a namespace"), bad("--lease-name", "Lease", "RFC 1123 subdomain"),
                bad("--unready-grace", "ten", "must be a duration"), bad("--handover", "late", "must be early or after-exit"),
                bad("--deletion-cost", "1.5", "whole number"));
    }

    private static Arguments bad(String flag, String value, String rule) {
        return Arguments.of(flag, value, rule, List.of(flag + "=" + value));
    }

    @ParameterizedTest
    @MethodSource
    void flags_that_are_unknown_missing_or_without_value_are_named(String flag, List<String> arguments) {
        String said = saidWhenRefused(arguments);
        assertTrue(said.startsWith("leader-labeler: ") && said.contains(flag), said);
    }

    static Stream<Arguments> flags_that_are_unknown_missing_or_without_value_are_named() {
        return Stream.of(
                Arguments.of("--election-name", List.of()),
                Arguments.of("--election-name", List.of("--pod-name=web-0", "--namespace=default")),
                Arguments.of("--colour", List.of("--election-name=web", "--colour=blue")),
                Arguments.of("leader", List.of("--election-name=web", "leader")),
                Arguments.of("--pod-name", List.of("--election-name=web", "--pod-name")),
                Arguments.of("--retry-period", List.of("--election-name=web", "--pod-name=web-0", "--namespace=default",
                        "--lease-duration=3s", "--renew-deadline=2s", "--retry-period=1s", "--retry-period=500ms")));
    }

    /** Runs the program in this JVM, which is quick. Another bad flag keeps it from ever looking for a cluster: it might be somebody's. */
    private static synchronized String saidWhenRefused(List<String> arguments) {
        List<String> guarded = new ArrayList<>(arguments);
        guarded.addFirst("--http-address=nowhere");
        PrintStream before = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        int exitCode;
        System.setErr(new PrintStream(said, true, StandardCharsets.UTF_8));
        try {
            exitCode = LeaderLabeler.run(guarded.toArray(String[]::new));
        } finally {
            System.setErr(before);
        }
        String text = said.toString(StandardCharsets.UTF_8);
        assertEquals(USAGE, exitCode, text);
        assertEquals(1, text.lines().count(), text);
        return text.strip();
    }

    // --- Environment -------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void without_a_pod_name_it_names_the_flag_and_the_variable() {
        assertRefused(USAGE, Map.of("POD_NAME", "", "POD_NAMESPACE", "default"), "--pod-name: \"\" must be the name of a pod", "POD_NAME");
    }

    @ConcurrentTest
    void an_empty_namespace_is_refused_by_flag_and_variable() {
        assertRefused(USAGE, Map.of("POD_NAME", "web-0", "POD_NAMESPACE", ""), "--namespace: \"\" must be the name of a namespace",
                "POD_NAMESPACE");
    }

    @ConcurrentTest
    void a_kubeconfig_that_is_none_gets_one_line() {
        Path folder = Folders.temporary("kubeconfig");
        Path file = Folders.write(folder, "config", "this: [is not a kubeconfig");
        try {
            Map<String, String> environment = Map.of("POD_NAME", "web-0", "POD_NAMESPACE", "default", "KUBECONFIG", file.toString());
            assertRefused(FAILURE, environment, file.toString());
        } finally {
            Folders.delete(folder);
        }
    }

    private static void assertRefused(int exitCode, Map<String, String> environment, String... texts) {
        try (SidecarProcess sidecar = SidecarProcess.start(environment, "--election-name=web", "--http-address=off")) {
            assertEquals(exitCode, sidecar.exitCode(Group.START), sidecar.log());
            List<String> said = sidecar.log().lines().filter(line -> !line.startsWith("WARNING: ")).toList(); // of the JVM
            assertEquals(1, said.size(), sidecar.log());
            for (String text : texts) {
                assertTrue(said.getFirst().contains(text), said.getFirst());
            }
        }
    }

    @Real
    @ConcurrentTest
    void a_pod_that_does_not_exist_is_named() {
        RealServer server = RealServer.shared();
        String namespace = server.newNamespace();
        String[] flags = {"--election-name=web", "--http-address=off"};
        try (SidecarProcess sidecar = SidecarProcess.start(server.kubeconfig(), namespace, "web-7", flags)) {
            assertEquals(FAILURE, sidecar.exitCode(Group.START), sidecar.log());
            assertTrue(sidecar.log().contains("--pod-name: pod web-7 does not exist in namespace " + namespace), sidecar.log());
            assertFalse(sidecar.log().contains("\tat "), sidecar.log());
        }
    }

    // --- Permissions -------------------------------------------------------------------------------------------------

    @Real
    @ConcurrentTest
    void without_the_permission_to_watch_it_says_so_and_polls() {
        RealServer server = groups.server();
        Group group = groups.empty(server.newNamespace(), "web", Group.FAST);
        Path kubeconfig = server.kubeconfigFor(group.namespace(), "sidecar");
        server.apply(group.namespace(), """
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata: {name: no-watch}
                rules:
                - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create, get, list, update]}
                - {apiGroups: [""], resources: [pods], verbs: [get, list, patch]}
                """);
        server.kubectl("create", "rolebinding", "no-watch", "-n", group.namespace(), "--role=no-watch",
                "--serviceaccount=" + group.namespace() + ":sidecar");
        for (String pod : List.of("web-0", "web-1")) {
            group.createPod(pod);
            group.startSidecar(pod, kubeconfig);
        }
        String first = group.awaitLeader(Group.START);
        String other = group.otherThan(first);
        group.sidecar(other).awaitLog("missing permission: watch leases.coordination.k8s.io/web", Group.SOON);
        group.sidecar(other).awaitLog("missing permission: watch pods", Group.SOON);

        assertEquals(0, group.term(first).exitCode(Group.SOON));

        assertEquals(other, group.awaitLeaderOtherThan(first, Group.SOON));
        group.editLabel(other, group.keys().leadership(), null);
        group.await("the label is back", Group.SOON, () -> "true".equals(group.labels().get(other)));
    }
}
