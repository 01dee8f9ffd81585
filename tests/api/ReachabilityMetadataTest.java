import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * A native executable contains of what is reached by reflection just what the metadata in tests/image names. Here the program runs on a JVM
 * with tests/image/ReflectionAgent.java, through a training that uses all its parts; what it reaches is what the metadata must hold.
 *
 * <p>After a change of the program or its libraries, {@code METADATA=write ./jbang all-tests ReachabilityMetadataTest} writes it anew.
 */
class ReachabilityMetadataTest {

    private static final Path METADATA =
            Path.of("tests", "image", "native", "META-INF", "native-image", "leader-labeler", "reachability-metadata.json");
    private static final Path AGENT = Path.of("tests", "image", "ReflectionAgent.java");
    private static final Duration LIMIT = Duration.ofMinutes(2);
    private static final Certificates AUTHORITY = new Certificates();

    private static Path folder;
    private static List<String> settings;
    private static String classPath;
    private static SecureServer server;
    private static Set<String> needed;

    @BeforeAll
    static void record() throws IOException {
        assumeTrue(Runtime.version().feature() >= 24, "the Class-File API needs Java 24");
        assumeTrue(SidecarCommand.given().isEmpty(), SidecarCommand.VARIABLE + " is set, and this is about a JVM");
        folder = Folders.temporary("reachability");
        classPath = ImageLibraries.classPath(folder);
        settings = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xlog:disable", "-Dsun.misc.unsafe.memory.access=allow",
                "-javaagent:" + agent() + "=" + folder.resolve("recording"));
        server = new SecureServer(AUTHORITY);
        server.register("Bearer alice-token", "alice");
        connect();
        elect();
        needed = ReachabilityMetadata.needed(Files.readAllLines(folder.resolve("recording")), classPath);
        if ("write".equals(System.getenv("METADATA"))) {
            Files.writeString(METADATA, ReachabilityMetadata.print(needed));
        }
    }

    @AfterAll
    static void delete() {
        if (server != null) {
            server.close();
            Folders.delete(folder);
        }
    }

    @Test
    void the_metadata_holds_what_the_program_reaches_and_nothing_else() throws IOException {
        Set<String> held = ReachabilityMetadata.parse(Files.readString(METADATA));

        assertEquals(Set.of(), without(needed, held), "missing in " + METADATA);
        assertEquals(Set.of(), without(held, needed), "never reached, but in " + METADATA);
    }

    @Test
    void without_any_one_entry_the_metadata_is_incomplete() throws IOException {
        Set<String> held = ReachabilityMetadata.parse(Files.readString(METADATA));

        assertTrue(held.size() > 100, held.toString());
        for (String entry : held) {
            Set<String> rest = ReachabilityMetadata.parse(ReachabilityMetadata.print(without(held, Set.of(entry))));
            boolean isImplied = entry.startsWith("type ") && rest.contains(entry);
            assertTrue(isImplied || without(needed, rest).equals(Set.of(entry)), entry);
        }
    }

    private static Set<String> without(Set<String> all, Set<String> some) {
        Set<String> rest = new TreeSet<>(all);
        rest.removeAll(some);
        return rest;
    }

    // --- The training ------------------------------------------------------------------------------------------------

    /** Runs the program once per line of arguments in one JVM, because agents and classes take long to load, and prints each exit code. */
    static final class Runs {

        /** Arguments: the folder of a service account, then for each run a kubeconfig, perhaps empty, and flags separated by spaces. */
        public static void main(String... arguments) throws IOException {
            // What differs in a pod. The service account is where the kubelet mounts it; its folder cannot be given on the command line.
            Environment pod = new Environment(System.getenv(), Path.of(arguments[0]));
            pod.connect();
            List<String> results = new ArrayList<>(List.of(pod.podUid("web-0")));
            for (int i = 1; i < arguments.length; i += 2) {
                Files.writeString(Path.of(System.getenv("KUBECONFIG")), arguments[i]);
                results.add(String.valueOf(LeaderLabeler.run(arguments[i + 1].split(" "))));
            }
            System.out.println(String.join(" ", results));
            Runtime.getRuntime().halt(0); // as the program does, whose threads may still wait
        }
    }

    /** Bad usage, then a connection by each kind of credential, and by some that do not work. */
    private static void connect() throws IOException {
        server.register("Basic " + Kubeconfigs.base64("frank:frank-password"), "frank");
        Certificates.Issued rsa = AUTHORITY.issue("carol", Certificates.rsa());
        Certificates.Issued ec = AUTHORITY.issue("carol", Certificates.ec("secp256r1"));
        Files.writeString(folder.resolve("token"), "alice-token\n");
        Path plugin = Files.writeString(folder.resolve("plugin"), """
                #!/bin/sh
                echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "alice-token"}}'
                """);
        Files.setPosixFilePermissions(plugin, PosixFilePermissions.fromString("rwxr-xr-x"));
        String check = "--election-name=web --pod-name=web-0 --check --lease-duration=300s --renew-deadline=240s"; // a busy machine is slow
        List<String> runs = new ArrayList<>();
        for (String flags : List.of("--help", "--version", "--check", "--election-name=Web", "--election-name=web --lease-duration=soon",
                "--no-such-flag")) {
            runs.addAll(List.of("", flags));
        }
        for (String user : List.of("token: alice-token", "username: frank, password: frank-password", "tokenFile: token",
                Kubeconfigs.certificate(rsa.certificatePem(), rsa.keyPem()), Kubeconfigs.certificate(rsa.certificatePem(), rsa.pkcs8Pem()),
                Kubeconfigs.certificate(ec.certificatePem(), ec.keyPem()), "token: alice-token, as: dora, as-groups: [ops]",
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, provideClusterInfo: true}",
                "token: wrong", "token: {", "client-certificate-data: none, client-key-data: none")) {
            runs.addAll(List.of(kubeconfig(user), check));
        }
        List<String> command = SidecarCommand.java(settings, classPath, Runs.class.getName(), serviceAccount().toString());
        command.addAll(runs);
        Program.Outcome outcome = Program.run(Map.of("KUBECONFIG", folder.resolve("config").toString(), "HOME", folder.toString(),
                "KUBERNETES_SERVICE_HOST", "127.0.0.1", "KUBERNETES_SERVICE_PORT", String.valueOf(server.port())), command);
        assertEquals("uid-of-web-0 0 0 2 2 2 2 0 0 0 0 0 0 0 0 1 1 1", outcome.output().lines().toList().getLast(), outcome::toString);
    }

    private static Path serviceAccount() throws IOException {
        Path account = Files.createDirectory(folder.resolve("account"));
        String payload = "{\"kubernetes.io\": {\"pod\": {\"name\": \"web-0\", \"uid\": \"uid-of-web-0\"}}}";
        Folders.write(account, "token", "header.%s.none".formatted(
                Base64.getUrlEncoder().encodeToString(payload.getBytes(StandardCharsets.UTF_8))));
        Folders.write(account, "ca.crt", AUTHORITY.authorityPem());
        return account;
    }

    private static String kubeconfig(String user) {
        return Kubeconfigs.of(server.cluster(), user);
    }

    /** Follow, take over, heal, lose the Lease, answer, see an outage, hand over. */
    private static void elect() {
        SidecarProcess.Launcher launcher = (kubeconfig, namespace, pod, arguments) -> SidecarProcess.start(settings, classPath,
                Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", pod, "POD_NAMESPACE", namespace), arguments);
        InMemoryServer objects = new InMemoryServer();
        Endpoint endpoint = Endpoint.free();
        try (Group group = new Group(objects, objects.newNamespace(), "web", ServedGroup.BRISK, launcher)) {
            group.start(2);
            String first = group.awaitLeader(LIMIT);
            group.createPod("web-2");
            List<String> arguments = new ArrayList<>(ServedGroup.BRISK);
            arguments.addAll(List.of("--election-name=web", endpoint.flag(), "--role-file=" + folder.resolve("role"), "--log-level=trace"));
            try (SidecarProcess served = launcher.start(objects.kubeconfig(), group.namespace(), "web-2",
                    arguments.toArray(String[]::new))) {
                awaitEvent(objects, group, first);
                group.editLabel("web-2", group.keys().leadership(), "true");
                group.awaitLeader(LIMIT);
                group.deleteLease();
                String second = group.awaitLeader(LIMIT);
                Wait.until("web-2 follows", LIMIT, () -> endpoint.code("/readyz") == 200);
                Stream.of("/", "/leader", "/healthz", "/readyz", "/metrics", "/none").forEach(endpoint::get);
                group.term(second).exitCode(LIMIT);
                String third = group.awaitLeaderOtherThan(second, LIMIT);
                awaitEvent(objects, group, third);
                objects.stopServer();
                served.awaitLog("ConnectException", LIMIT);
                objects.startServer();
                served.term();
                assertEquals(0, served.exitCode(LIMIT), served::log);
            }
        }
    }

    private static void awaitEvent(InMemoryServer objects, Group group, String leader) {
        group.await("an Event of " + leader, LIMIT, () -> objects.withStore(store -> store.list(Store.Selection.all(Resource.EVENTS,
                group.namespace())).items().stream().anyMatch(event -> (leader + " became leader").equals(Json.text(event, "message")))));
    }

    // --- The agent ---------------------------------------------------------------------------------------------------

    private static Path agent() throws IOException {
        assertEquals(0, ToolProvider.getSystemJavaCompiler().run(null, null, null, "-XDignore.symbol.file", "-nowarn", "-proc:none", "-d",
                folder.resolve("classes").toString(), AGENT.toString()));
        Path jar = folder.resolve("agent.jar");
        Manifest manifest = new Manifest();
        Map.of("Manifest-Version", "1.0", "Premain-Class", "ReflectionAgent", "Boot-Class-Path", "agent.jar", "Can-Retransform-Classes",
                "true").forEach(manifest.getMainAttributes()::putValue);
        try (OutputStream file = Files.newOutputStream(jar); JarOutputStream out = new JarOutputStream(file, manifest);
                Stream<Path> classes = Files.list(folder.resolve("classes"))) {
            for (Path each : classes.toList()) {
                out.putNextEntry(new ZipEntry(each.getFileName().toString()));
                Files.copy(each, out);
            }
        }
        return jar;
    }
}
