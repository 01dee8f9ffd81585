import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What other projects' tools say to deploy/. Each test is skipped, with the way to get the tool, where it is not installed. */
class DeployToolsTest {

    private static final Path DEPLOY = Path.of("deploy").toAbsolutePath();

    private static RealServer server;

    @BeforeAll
    static void start() {
        Optional<String> reason = RealServer.unavailable();
        assumeTrue(reason.isEmpty(), () -> reason.orElse(""));
        server = RealServer.shared();
    }

    @Test
    void the_monitoring_fits_the_definitions_of_the_prometheus_operator() {
        assumeTrue(server.canStop(), "definitions apply to a whole cluster, and this one is somebody else's");
        Path operator = modules().resolve("github.com/" + OPERATOR);
        assumeTrue(Files.isDirectory(operator), "the Prometheus Operator is not in Go's module cache; get it by:"
                + " go mod download github.com/" + OPERATOR);
        for (String kind : List.of("podmonitors", "prometheusrules")) {
            server.kubectl("apply", "--server-side", "-f",
                    operator.resolve("example/prometheus-operator-crd/monitoring.coreos.com_" + kind + ".yaml").toString());
            server.kubectl("wait", "--for=condition=Established", "crd/" + kind + ".monitoring.coreos.com", "--timeout=60s");
        }

        Program.Outcome outcome = server.tryKubectl("apply", "--dry-run=server", "-n", server.newNamespace(), "-k",
                DEPLOY.resolve("monitoring").toString());

        assertEquals("", outcome.errors());
        assertEquals(3, outcome.output().lines().count(), outcome.output());
    }

    private static final String OPERATOR = "prometheus-operator/prometheus-operator@v0.85.0";

    private static Path modules() {
        String folder = System.getenv("GOMODCACHE");
        return folder != null ? Path.of(folder) : Path.of(System.getProperty("user.home"), "go", "pkg", "mod");
    }

    /** What kube-score says and why it stays; everything else it says is a failure. */
    private static final Map<String, String> ARGUED = Map.of(
            "The container is running with a low user ID", "the image's, 65532 and 101: platforms that assign them refuse others",
            "The container running with a low group ID", "likewise",
            "CPU limit is not set", "throttling delays a hand-over",
            "ImagePullPolicy is not set to Always", "a tag that names a version does not change, and a start must not need the registry",
            "The pod does not have a matching egress NetworkPolicy", "what an application may call is not for this project to say",
            "Deployment does not have a host podAntiAffinity set", "topologySpreadConstraints spread the pods",
            "StatefulSet does not have a host podAntiAffinity set", "likewise",
            "The services selector does not match any pods", "the sidecars write the label that it selects",
            "The NetworkPolicys selector doesn't match any pods", "the pods are the user's");

    /** The other folders have no objects of a kind that it knows. */
    @ParameterizedTest
    @ValueSource(strings = {"example", "native-sidecar", "leader", "injection/network-policy/open", "injection/network-policy/isolated"})
    void kube_score_finds_nothing_but_what_was_argued(String folder) {
        assumeTrue(Program.onPath("kube-score").isPresent(),
                "kube-score is not on the PATH; install it by: go install github.com/zegl/kube-score/cmd/kube-score@v1.20.0");
        String built = server.kubectl("kustomize", DEPLOY.resolve(folder).toString());
        Path file = Folders.write(Folders.temporary("built"), "built.yaml", built);

        Program.Outcome outcome = Program.run("kube-score", "score", "--kubernetes-version", "v1.36", "-o", "ci", file.toString());

        List<String> findings = outcome.output().lines().filter(line -> line.matches("\\[(CRITICAL|WARNING)].*")).toList();
        assertTrue(outcome.output().contains("[OK]"), outcome.output() + outcome.errors());
        assertEquals(List.of(), findings.stream().filter(line -> ARGUED.keySet().stream().noneMatch(line::endsWith)).toList());
    }
}
