import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.Config;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ToolProvider;

/**
 * A cluster with kubelets, and the images in it: a kind cluster of its own, or the one that {@code KUBECONFIG_TEST} names.
 * {@code KUBECONFIG} is never read.
 *
 * <p>More by the environment, for builders and clusters that are not everybody's:
 * <ul>
 * <li>{@code CLUSTER_TEST_BUILD_ARGS}: further arguments of {@code docker build}, such as {@code --build-arg BASE_IMAGE=…}
 * <li>{@code CLUSTER_TEST_LOAD}: the command that takes the file of {@code docker save} to the nodes; with KUBECONFIG_TEST it is needed,
 * and would be {@code k3d image import}, {@code minikube image load} or the like
 * </ul>
 */
final class Cluster implements AutoCloseable {

    static final String IMAGE = "leader-labeler:test";
    static final String PROBE = "leader-labeler-probe:test";
    private static final String KIND_NAME = "leader-labeler-test";
    private static final Path PROJECT = Path.of("").toAbsolutePath();
    private static final Path EXPORT = PROJECT.resolve("build/export");

    private final Path folder = Folders.temporary("cluster");
    private final Optional<Path> foreign = Optional.ofNullable(System.getenv("KUBECONFIG_TEST")).map(Path::of);
    private final Path kubeconfig = foreign.orElse(folder.resolve("kubeconfig"));

    /** Why there is no cluster to be had, empty if there is one. */
    static Optional<String> unavailable() {
        String load = System.getenv("CLUSTER_TEST_LOAD");
        if (System.getenv("KUBECONFIG_TEST") != null) {
            return missing(load == null ? Stream.of("CLUSTER_TEST_LOAD") : missingPrograms("docker", "kubectl"));
        }
        return missing(missingPrograms("docker", "kind", "kubectl"));
    }

    private static Optional<String> missing(Stream<String> what) {
        String names = what.collect(Collectors.joining(", "));
        return names.isEmpty() ? Optional.empty() : Optional.of("no cluster: not found: " + names);
    }

    private static Stream<String> missingPrograms(String... programs) {
        List<Path> path = Arrays.stream(System.getenv("PATH").split(":")).map(Path::of).toList();
        return Arrays.stream(programs).filter(program -> path.stream().noneMatch(dir -> Files.isExecutable(dir.resolve(program))));
    }

    private static Cluster shared;

    /** The cluster that the tests of this JVM share, made by the first call and deleted when the JVM shuts down. */
    static synchronized Cluster shared() {
        if (shared == null) {
            shared = new Cluster();
            Runtime.getRuntime().addShutdownHook(new Thread(shared::close));
        }
        return shared;
    }

    /** Builds the images, creates the cluster where none was named, and loads the images into it. */
    private Cluster() {
        buildImages();
        if (foreign.isEmpty()) {
            Path config = Folders.write(folder, "kind.yaml", "{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4, "
                    // Nodes of Kubernetes 1.34 and 1.35 have the injection's API, but switched off.
                    + "featureGates: {MutatingAdmissionPolicy: true}, runtimeConfig: {admissionregistration.k8s.io/v1beta1: \"true\"}, "
                    + "nodes: [{role: control-plane}, {role: worker}, {role: worker}]}");
            run("kind", "create", "cluster", "--name", KIND_NAME, "--config", config.toString(), "--kubeconfig", kubeconfig.toString());
        }
        Path archive = folder.resolve("images.tar");
        run("docker", "save", IMAGE, PROBE, "-o", archive.toString());
        List<String> load = new ArrayList<>(words(System.getenv().getOrDefault("CLUSTER_TEST_LOAD",
                "kind load image-archive --name " + KIND_NAME)));
        load.add(archive.toString());
        run(load.toArray(String[]::new));
    }

    private void buildImages() {
        String jbang = PROJECT.resolve("jbang").toString();
        run(jbang, "export", "portable", "--force", "-O", EXPORT.resolve("leader-labeler.jar").toString(), "LeaderLabeler.java");
        run(jbang, "export", "portable", "--force", "-O", EXPORT.resolve("trainer/trainer.jar").toString(), "tests/image/Train.java");
        List<String> build = new ArrayList<>(List.of("docker", "build", "--quiet", "--build-arg", "EXPORT=ready", "-t", IMAGE));
        build.addAll(words(System.getenv().getOrDefault("CLUSTER_TEST_BUILD_ARGS", "")));
        build.add(PROJECT.toString());
        run(build.toArray(String[]::new));
        Path context = Folders.temporary("probe");
        int failed = ToolProvider.getSystemJavaCompiler().run(null, null, null, "-proc:none", "--release", "21", "-d",
                context.resolve("probe").toString(), PROJECT.resolve("tests/cluster/Probe.java").toString());
        if (failed != 0) {
            throw new IllegalStateException("Probe.java does not compile");
        }
        Folders.write(context, "Dockerfile", """
                FROM %s
                COPY probe /probe
                ENTRYPOINT ["/opt/jre/bin/java", "-cp", "/probe", "Probe"]
                """.formatted(IMAGE));
        run("docker", "build", "--quiet", "-t", PROBE, context.toString());
    }

    private static List<String> words(String text) {
        return Arrays.stream(text.split("\\s+")).filter(word -> !word.isEmpty()).toList();
    }

    ApiClient client() {
        try {
            return Config.fromConfig(kubeconfig.toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs kubectl and returns its output; fails with its error output. */
    String kubectl(String... arguments) {
        List<String> command = new ArrayList<>(List.of("kubectl", "--kubeconfig", kubeconfig.toString()));
        command.addAll(List.of(arguments));
        return run(command.toArray(String[]::new));
    }

    /** Names of the nodes that take pods. */
    List<String> schedulableNodes() {
        return words(kubectl("get", "nodes", "-o", "go-template={{range .items}}{{$ok := not .spec.unschedulable}}{{range .spec.taints}}"
                + "{{if eq .effect \"NoSchedule\"}}{{$ok = false}}{{end}}{{end}}{{if $ok}}{{.metadata.name}} {{end}}{{end}}"));
    }

    /** Makes a namespace with the restricted Pod Security Standard, anew if there is one of that name. */
    void createNamespace(String name) {
        kubectl("delete", "namespace", "--ignore-not-found", name);
        kubectl("create", "namespace", name);
        kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted");
    }

    /** A kustomization of a folder of deploy/ with the images under test instead of the public ones. */
    Path overlay(String folderOfDeploy, String more) {
        Path overlay = Folders.temporary("overlay");
        Folders.write(overlay, "kustomization.yaml", """
                resources: ["%s"]
                images:
                - {name: leader-labeler, newName: "%s", newTag: "%s"}
                - {name: nginxinc/nginx-unprivileged, newName: "%s", newTag: "%s"}
                %s""".formatted(overlay.toAbsolutePath().relativize(PROJECT.resolve("deploy").resolve(folderOfDeploy)), name(IMAGE),
                tag(IMAGE), name(PROBE), tag(PROBE), more));
        return overlay;
    }

    private static String name(String image) {
        return image.substring(0, image.indexOf(':'));
    }

    private static String tag(String image) {
        return image.substring(image.indexOf(':') + 1);
    }

    /** Kills a pod's container from its node, which only works where nodes are Docker containers, as kind's; says whether it did. */
    boolean killContainer(String namespace, String pod, String container) {
        String of = "jsonpath={.spec.nodeName} {.status.containerStatuses[?(@.name==\"" + container + "\")].containerID}";
        String[] nodeAndId = kubectl("get", "pod", pod, "-n", namespace, "-o", of).split(" ");
        try {
            run("docker", "exec", nodeAndId[0], "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL",
                    nodeAndId[1].replace("containerd://", ""));
            return true;
        } catch (IllegalStateException noKindNode) {
            return false;
        }
    }

    /** Runs a program in the project's folder. */
    String run(String... command) {
        try {
            Path errors = Files.createTempFile(folder, "errors", "");
            Process process = new ProcessBuilder(command).directory(PROJECT.toFile()).redirectError(errors.toFile()).start();
            process.getOutputStream().close();
            String output = new String(process.getInputStream().readAllBytes());
            if (process.waitFor() != 0) {
                throw new IllegalStateException(String.join(" ", command) + ": exit code " + process.exitValue() + "\n"
                        + Files.readString(errors));
            }
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Deletes the cluster, unless it is somebody else's. */
    @Override
    public void close() {
        if (foreign.isEmpty()) {
            run("kind", "delete", "cluster", "--name", KIND_NAME);
        }
        Folders.delete(folder);
    }
}
