import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.openapi.ApiClient;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import okhttp3.Call;
import okhttp3.Connection;
import okhttp3.EventListener;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A sidecar reaches every API server that kubectl reaches, by the same kubeconfigs; what it cannot use gets one line. */
@Tag(SidecarCommand.TAG)
@Patient.WithProcesses
class ConnectionTest {

    private static final String LOG_TIME = "20\\d\\d-[01]\\d-[0-3]\\dT[0-2]\\d:[0-5]\\d:[0-5]\\d\\.\\d{3}(Z|[-+]\\d\\d:\\d\\d)";
    /** For what takes a second on a machine that has nothing else to do. */
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final Certificates AUTHORITY = new Certificates();
    static final List<String> BRISK = List.of("--election-name=web", "--http-address=off", "--lease-duration=60s",
            "--renew-deadline=50s", "--retry-period=500ms");

    private static SecureServer server;

    private final Path folder = Folders.temporary("connection");

    @BeforeAll
    static void start() {
        server = new SecureServer(AUTHORITY);
        server.register("Bearer alice-token", "alice");
    }

    @AfterAll
    static void stop() {
        server.close();
    }

    @AfterEach
    void delete() {
        Folders.delete(folder);
    }

    // --- Kubeconfigs -------------------------------------------------------------------------------------------------

    private Path write(String name, String content) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, content);
    }

    private Path user(String fields) throws IOException {
        return write("config", Kubeconfigs.of(server.cluster(), fields));
    }

    // --- Checks ------------------------------------------------------------------------------------------------------

    /** What {@code --check} does, but in this JVM: the start of another one for each kubeconfig would take a hundred times as long. */
    static final class Check {

        /** What it prints; the pod is {@code web-0}. */
        static List<String> lines(Map<String, String> variables) throws IOException {
            Environment environment = new Environment(variables, Path.of("/no/service/account"));
            Config config = TestConfig.config().namespace(environment.namespace())
                    .timing(Duration.ofMinutes(5), Duration.ofMinutes(4), Duration.ofSeconds(2)).build(); // patience with a busy machine
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (Kubernetes kubernetes = Kubernetes.connect(config, environment)) {
                PermissionCheck.print(config, kubernetes, new PrintStream(out, true, StandardCharsets.UTF_8));
            }
            return out.toString(StandardCharsets.UTF_8).lines().toList();
        }

        /** Checks with one kubeconfig after the other, for a JVM with other libraries. */
        public static void main(String... kubeconfigs) throws IOException {
            for (String kubeconfig : kubeconfigs) {
                lines(Map.of("KUBECONFIG", kubeconfig)).forEach(System.out::println);
            }
            Runtime.getRuntime().halt(0);
        }
    }

    private static void assertConnected(String user, String source, String pod, List<String> lines) {
        assertEquals(List.of("ok      connected to %s as %s (%s)".formatted(server.url(), user, source), "ok      pod " + pod),
                lines.subList(0, 2));
        assertTrue(lines.stream().allMatch(line -> line.startsWith("ok ")), lines.toString());
    }

    private static void assertConnected(String user, String kubeconfigs) throws IOException {
        assertConnected(user, "KUBECONFIG " + kubeconfigs, "default/web-0", Check.lines(Map.of("KUBECONFIG", kubeconfigs)));
    }

    private static void assertConnected(String user, Path kubeconfig) throws IOException {
        assertConnected(user, kubeconfig.toString());
    }

    /** The program prints the first line of the message and exits with 1: BadInputTest shows that with a process. */
    private static void assertRefused(Path kubeconfig, String... texts) {
        String said = LeaderLabeler.firstLine(assertThrows(IOException.class,
                () -> Check.lines(Map.of("KUBECONFIG", kubeconfig.toString()))).getMessage());
        for (String text : texts) {
            assertTrue(said.contains(text), text + " in: " + said);
        }
        assertFalse(said.contains("s3cret"), said);
    }

    /** What {@code --check} prints as a process, without the JVM's own lines. */
    private static List<String> checkByCommand(int exitCode, Path workingFolder, String classPath, Map<String, String> environment) {
        Map<String, String> all = new HashMap<>(environment);
        all.put("POD_NAME", "web-0");
        try (SidecarProcess process = SidecarProcess.start(workingFolder, classPath, all, "--election-name=web", "--check",
                "--lease-duration=300s", "--renew-deadline=240s")) {
            assertEquals(exitCode, process.exitCode(PATIENCE), process.log());
            return process.log().lines().filter(line -> !line.startsWith("WARNING: ") && !line.startsWith("Picked up ")).toList();
        }
    }

    private static String classPath() {
        return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(entry -> Path.of(entry).toAbsolutePath().toString()).collect(Collectors.joining(File.pathSeparator));
    }

    // --- Where and as whom -------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_context_without_namespace_means_default_and_the_check_begins_with_the_connection() throws IOException {
        assertConnected("alice", user("token: alice-token"));
    }

    @ConcurrentTest
    void the_namespace_of_the_context_counts() throws IOException {
        server.createPod("shop", "web-0");
        Path kubeconfig = write("config", Kubeconfigs.of("shop", server.cluster(), "token: alice-token"));
        assertConnected("alice", "KUBECONFIG " + kubeconfig, "shop/web-0", Check.lines(Map.of("KUBECONFIG", kubeconfig.toString())));
    }

    /** Each entry's first occurrence counts, and relative paths start from the file in which they stand. */
    @ConcurrentTest
    void of_several_kubeconfigs_the_first_counts_that_has_an_entry_or_a_current_context() throws IOException {
        write("one/ca.crt", AUTHORITY.authorityPem());
        write("two/token", "alice-token");
        Path one = write("one/config", """
                clusters: [{name: test, cluster: {server: "%s", certificate-authority: ca.crt}}]
                users: [{name: other, user: {token: wrong}}]
                """.formatted(server.url()));
        Path two = write("two/config", Kubeconfigs.of("server: \"https://127.0.0.1:1\"", "tokenFile: token"));
        Path three = write("three/config", Kubeconfigs.of("server: \"https://127.0.0.1:2\"", "token: wrong").replace("test}", "another}")
                .replace("current-context: test", "current-context: another"));
        assertConnected("alice", one + ":" + two + ":" + three);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {":GOOD", "GOOD:", "FOLDER/missing:GOOD", "FOLDER/empty:GOOD"})
    void missing_and_empty_kubeconfigs_of_a_list_are_skipped(String list) throws IOException {
        Path kubeconfig = user("token: alice-token");
        write("empty", "");
        assertConnected("alice", list.replace("GOOD", kubeconfig.toString()).replace("FOLDER", folder.toString()));
    }

    @ConcurrentTest
    void home_is_what_the_variable_says_for_cluster_user_and_namespace() throws IOException {
        assumeFalse(Files.exists(Path.of("/var/run/secrets/kubernetes.io/serviceaccount")), "in a pod, whose namespace counts first");
        server.createPod("home", "web-0");
        Path good = write("variable/.kube/config", Kubeconfigs.of("home", server.cluster(), "token: alice-token"));
        write("account/.kube/config", Kubeconfigs.of("account", "server: \"https://127.0.0.1:1\"", "token: wrong"));
        Map<String, String> environment = new HashMap<>(Map.of("HOME", folder.resolve("variable").toString()));
        if (SidecarCommand.given().isEmpty()) { // a native executable takes its home from the account, not from there
            environment.put("JAVA_TOOL_OPTIONS", "-Duser.home=" + folder.resolve("account"));
        }
        assertConnected("alice", "kubeconfig " + good, "home/web-0",
                checkByCommand(LeaderLabeler.OK, Path.of(""), classPath(), environment));
    }

    @ConcurrentTest
    void a_kubeconfig_may_be_a_bare_file_name_and_its_certificates_relative() throws IOException {
        Certificates.Issued bob = AUTHORITY.issue("bob", Certificates.rsa());
        write("ca.crt", AUTHORITY.authorityPem());
        write("bob.crt", bob.certificatePem());
        write("bob.key", bob.keyPem());
        write("config", Kubeconfigs.of("server: \"" + server.url() + "\", certificate-authority: ca.crt",
                "client-certificate: bob.crt, client-key: bob.key"));
        assertConnected("bob", "KUBECONFIG config", "default/web-0",
                checkByCommand(LeaderLabeler.OK, folder, classPath(), Map.of("KUBECONFIG", "config")));
    }

    @ParameterizedTest(name = "{1}")
    @Execution(ExecutionMode.CONCURRENT)
    @MethodSource
    void a_kubeconfig_that_cannot_be_used_gets_one_line_that_names_it_and_says_why(String content, String why) throws IOException {
        Path kubeconfig = write("config", content);
        assertRefused(kubeconfig, kubeconfig.toString(), why);
    }

    static Stream<Arguments> a_kubeconfig_that_cannot_be_used_gets_one_line_that_names_it_and_says_why() {
        String good = Kubeconfigs.of("server: \"https://127.0.0.1:1\"", "token: s3cret");
        return Stream.of(
                Arguments.of("", "is missing or empty"),
                Arguments.of(good, "cannot use https://127.0.0.1:1 "),
                Arguments.of("users:\n- {name: a, user: {token: s3cret\nclusters: []\n", "no YAML in line 3"),
                Arguments.of("s3cret", "it is no kubeconfig"),
                Arguments.of(good.replace("current-context: test", "current-context: elsewhere"), "context \"elsewhere\" does not exist"),
                Arguments.of(good.replace("current-context: test", "current-context: \"\""), "current-context is not set"),
                Arguments.of(good.replace("cluster: test", "cluster: elsewhere"), "cluster \"elsewhere\" does not exist"),
                Arguments.of(good.replace("user: test", "user: elsewhere"), "user \"elsewhere\" does not exist"),
                Arguments.of(Kubeconfigs.of("certificate-authority: ca.crt", "token: s3cret"), "server"),
                Arguments.of(Kubeconfigs.of("server: \"https://127.0.0.1:1\", certificate-authority: ca.crt", "token: s3cret"), "ca.crt"),
                Arguments.of(Kubeconfigs.of("server: \"https://127.0.0.1:1\"",
                        "client-certificate-data: czNjcmV0, client-key-data: czNjcmV0"), "certificate"),
                Arguments.of(Kubeconfigs.of("server: \"https://127.0.0.1:1\"", "exec: {command: s3cret}"), "apiVersion and command"),
                Arguments.of(Kubeconfigs.of("server: \"https://127.0.0.1:1\"", "token: s3cret, as-groups: [ops]"), "as"));
    }

    @ConcurrentTest
    void a_credential_that_is_refused_gets_one_line_that_says_where() throws IOException {
        Path kubeconfig = user("token: wrong");
        assertRefused(kubeconfig, server.url(), "KUBECONFIG " + kubeconfig, "401 Unauthorized");
    }

    @ConcurrentTest
    void a_user_name_and_a_password_are_a_credential() throws IOException {
        server.register("Basic " + Kubeconfigs.base64("frank:frank-password"), "frank");
        assertConnected("frank", user("username: frank, password: frank-password"));
    }

    // --- Client certificates -----------------------------------------------------------------------------------------

    /** A kubeconfig for each form in which openssl writes keys: PKCS#1, PKCS#8, SEC 1, and SEC 1 after the parameters of its curve. */
    private List<Path> withKeysInEachForm() throws IOException {
        Certificates.Issued rsa = AUTHORITY.issue("carol", Certificates.rsa());
        Certificates.Issued ec = AUTHORITY.issue("carol", Certificates.ec("secp256r1"));
        String parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        return List.of(withKey("pkcs1", rsa, rsa.keyPem()), withKey("pkcs8", rsa, rsa.pkcs8Pem()), withKey("sec1", ec, ec.keyPem()),
                withKey("parameters", ec, parameters + ec.keyPem()));
    }

    private Path withKey(String form, Certificates.Issued issued, String key) throws IOException {
        return write(form, Kubeconfigs.of(server.cluster(), Kubeconfigs.certificate(issued.certificatePem(), key)));
    }

    @ConcurrentTest
    void a_client_certificate_works_with_keys_in_each_form_that_openssl_writes() throws IOException {
        for (Path kubeconfig : withKeysInEachForm()) {
            assertConnected("carol", kubeconfig);
        }
    }

    @ConcurrentTest
    void a_client_certificate_works_with_the_libraries_of_the_image() throws IOException {
        List<Path> kubeconfigs = withKeysInEachForm();

        Program.Outcome outcome = Program.run(Map.of(), SidecarCommand.java(List.of(), ImageLibraries.classPath(folder),
                Check.class.getName(), kubeconfigs.stream().map(Path::toString).toArray(String[]::new)));

        assertEquals(kubeconfigs.stream().map(kubeconfig -> "ok      connected to %s as carol (KUBECONFIG %s)"
                .formatted(server.url(), kubeconfig)).toList(), outcome.output().lines().filter(line -> line.contains(" as ")).toList(),
                outcome.errors());
    }

    @ConcurrentTest
    void a_class_that_is_missing_is_one_line() throws IOException {
        assumeTrue(SidecarCommand.given().isEmpty(), SidecarCommand.VARIABLE + " is set, and this is about jars");
        String withoutYaml = Arrays.stream(classPath().split(File.pathSeparator)).filter(entry -> !entry.contains("snakeyaml"))
                .collect(Collectors.joining(File.pathSeparator));
        List<String> said = checkByCommand(LeaderLabeler.FAILURE, Path.of(""), withoutYaml,
                Map.of("KUBECONFIG", user("token: alice-token").toString()));
        assertEquals(1, said.size(), said.toString());
        assertTrue(said.getFirst().matches("leader-labeler: .*NoClassDefFoundError.*snakeyaml.*"), said.getFirst());
    }

    // --- Tokens in files ---------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_token_file_is_relative_to_its_kubeconfig_and_may_end_with_a_newline() throws IOException {
        write("token", "alice-token\n");
        assertConnected("alice", user("tokenFile: token"));
    }

    // --- Speed -------------------------------------------------------------------------------------------------------

    /** Else a request would wait until what was sent before it is acknowledged. */
    @ConcurrentTest
    void a_request_does_not_wait_for_an_acknowledgement() throws IOException {
        ApiClient client = new Environment(Map.of("KUBECONFIG", user("token: alice-token").toString()), folder).connect();
        List<Socket> sockets = new CopyOnWriteArrayList<>();
        client.setHttpClient(client.getHttpClient().newBuilder().eventListener(new EventListener() {
            @Override
            public void connectionAcquired(Call call, Connection connection) {
                sockets.add(connection.socket());
            }
        }).build());
        try (Kubernetes kubernetes = new Kubernetes(TestConfig.config().build(), client, server.url(), "test")) {
            assertInstanceOf(Reply.NotFound.class, kubernetes.send(new Effect.GetLease(1)));
            assertTrue(sockets.getFirst().getTcpNoDelay());
        }
    }

    // --- Other rights, another way -----------------------------------------------------------------------------------

    @ConcurrentTest
    void a_user_who_is_to_be_impersonated_is() throws IOException {
        assertConnected("dora", user("token: alice-token, as: dora, as-uid: \"17\", as-groups: [ops, dev],"
                + " as-user-extra: {example.com/scope: [a, b]}"));
        List<String> headers = server.requests().stream().map(SecureServer.Request::impersonated).filter(all -> all.contains(
                "impersonate-user: dora")).findFirst().orElseThrow();
        assertEquals(List.of("impersonate-extra-example.com%2fscope: a", "impersonate-extra-example.com%2fscope: b",
                "impersonate-group: dev", "impersonate-group: ops", "impersonate-uid: 17", "impersonate-user: dora"), headers);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"http", "socks5"})
    void a_proxy_is_used(String protocol) throws IOException {
        try (ForwardProxy proxy = new ForwardProxy()) {
            assertConnected("alice", write("config", Kubeconfigs.of(server.cluster() + ", proxy-url: \"%s://127.0.0.1:%d\"".formatted(protocol,
                    proxy.port()), "token: alice-token")));
            assertEquals(Set.of(protocol + " 127.0.0.1:" + server.port()), Set.copyOf(proxy.targets()));
        }
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @ValueSource(strings = {"https://127.0.0.1:1", "http://user:s3cret@127.0.0.1:1", "http://127.0.0.1"})
    void a_proxy_that_cannot_be_used_is_refused_by_field_and_file(String url) throws IOException {
        Path kubeconfig = write("config", Kubeconfigs.of(server.cluster() + ", proxy-url: \"" + url + "\"", "token: alice-token"));
        assertRefused(kubeconfig, "proxy-url", kubeconfig.toString());
    }

    @ConcurrentTest
    void a_server_is_asked_for_and_known_by_its_tls_server_name() throws IOException {
        try (SecureServer named = new SecureServer(AUTHORITY, AUTHORITY.issue("kube-apiserver", Certificates.rsa(), "api.example.test"))) {
            named.register("Bearer alice-token", "alice");
            String cluster = named.cluster();
            assertRefused(write("nameless", Kubeconfigs.of(cluster, "token: alice-token")), named.url(), "127.0.0.1");

            Path kubeconfig = write("config", Kubeconfigs.of(cluster + ", tls-server-name: api.example.test", "token: alice-token"));
            String first = Check.lines(Map.of("KUBECONFIG", kubeconfig.toString())).getFirst();

            assertTrue(first.startsWith("ok ") && first.contains(named.url()), first);
            assertEquals(Set.of("api.example.test"), named.requests().stream().map(SecureServer.Request::serverName)
                    .collect(Collectors.toSet()));
            assertEquals(Set.of("127.0.0.1:" + named.port()), named.requests().stream().map(SecureServer.Request::host)
                    .collect(Collectors.toSet()));
        }
    }

    // --- In a pod ----------------------------------------------------------------------------------------------------

    /** The folder that a kubelet mounts, without the files that are named. */
    private Path serviceAccount(String... without) throws IOException {
        write("account/token", "alice-token\n");
        write("account/namespace", "pods");
        write("account/ca.crt", AUTHORITY.authorityPem());
        for (String file : without) {
            Files.delete(folder.resolve("account").resolve(file));
        }
        return folder.resolve("account");
    }

    private static Map<String, String> inCluster() {
        return Map.of("KUBERNETES_SERVICE_HOST", "127.0.0.1", "KUBERNETES_SERVICE_PORT", String.valueOf(server.port()));
    }

    private static String connection(Environment environment) throws IOException {
        Config config = TestConfig.config().namespace(environment.namespace())
                .timing(PATIENCE, PATIENCE.dividedBy(2), Duration.ofSeconds(2)).build();
        try (Kubernetes kubernetes = Kubernetes.connect(config, environment)) {
            return config.namespace() + ": " + kubernetes.connection();
        }
    }

    @ConcurrentTest
    void a_service_account_gives_server_user_and_namespace() throws IOException {
        assertEquals("pods: %s as alice (service account)".formatted(server.url()),
                connection(new Environment(inCluster(), serviceAccount())));
    }

    /** The service account's folder says for certain in which namespace the pod is. */
    @ConcurrentTest
    void where_there_are_both_the_kubeconfig_gives_the_connection_and_the_service_account_the_namespace() throws IOException {
        server.register("Bearer erin-token", "erin");
        Path kubeconfig = user("token: erin-token");
        Map<String, String> both = new HashMap<>(inCluster());
        both.put("KUBECONFIG", kubeconfig.toString());
        assertEquals("pods: %s as erin (KUBECONFIG %s)".formatted(server.url(), kubeconfig),
                connection(new Environment(both, serviceAccount())));
    }

    @ConcurrentTest
    void where_the_files_of_kubeconfig_are_missing_the_service_account_is_used() throws IOException {
        Map<String, String> both = new HashMap<>(inCluster());
        both.put("KUBECONFIG", folder.resolve("missing").toString());
        assertEquals("pods: %s as alice (service account)".formatted(server.url()), connection(new Environment(both, serviceAccount())));
    }

    @ConcurrentTest
    void what_is_missing_of_kubeconfigs_and_a_service_account_is_named() throws IOException {
        Path none = folder.resolve("none");
        assertMissing("no kubeconfig: KUBECONFIG is not set, and $HOME/.kube/config is missing", Map.of(), none);
        assertMissing("no kubeconfig: KUBECONFIG " + none + " is missing", Map.of("KUBECONFIG", none.toString()), none);
        assertMissing("ca.crt", inCluster(), serviceAccount("ca.crt"));
        assertMissing("KUBERNETES_SERVICE_HOST", Map.of(), serviceAccount());
        assertMissing("KUBERNETES_SERVICE_PORT", Map.of("KUBERNETES_SERVICE_HOST", "127.0.0.1"), serviceAccount());
        assertMissing("no " + folder.resolve("account/token"), inCluster(), serviceAccount("token"));
    }

    private static void assertMissing(String what, Map<String, String> variables, Path serviceAccount) throws IOException {
        Environment environment = new Environment(variables, serviceAccount);
        String said = assertThrows(IOException.class, environment::connect).getMessage();
        assertTrue(said.contains(what) && said.lines().count() == 1, said);
    }

    // --- The process -------------------------------------------------------------------------------------------------

    /** Thai years are 543 ahead, and the digits are others. */
    @ConcurrentTest
    void log_times_are_iso_in_every_locale() throws IOException {
        Map<String, String> environment = Map.of("POD_NAME", "web-0", "KUBECONFIG", user("token: wrong").toString(),
                "JAVA_TOOL_OPTIONS", "-Duser.language=th -Duser.country=TH -Duser.extensions=u-ca-buddhist-nu-thai");
        try (SidecarProcess sidecar = SidecarProcess.start(environment, BRISK.toArray(String[]::new))) {
            sidecar.awaitLog("started version", PATIENCE);
            sidecar.awaitLog(" Unauthorized", PATIENCE);
            List<String> lines = sidecar.log().lines().filter(line -> line.contains("leader-labeler - ")).toList();
            lines.forEach(line -> assertTrue(line.matches(LOG_TIME + " .*"), line));
            Instant time = Instant.parse(lines.getFirst().replaceFirst(" .*", "").replaceFirst("[-+]\\d\\d:\\d\\d$", "Z"));
            assertTrue(Duration.between(time, Instant.now()).abs().compareTo(Duration.ofDays(2)) < 0, lines.getFirst());
        }
    }

    /** Where somebody exports no HOME, as systemd does. The folder with JBang itself is this machine's. */
    @ConcurrentTest
    void the_launcher_needs_home_or_jbang_dir() throws IOException, InterruptedException {
        String jbangDir = System.getenv().getOrDefault("JBANG_DIR", System.getProperty("user.home") + "/.jbang");
        String version = launch(Map.of("JBANG_DIR", jbangDir));
        assertTrue(version.matches("0: \\d+\\.\\d+\\.\\d+"), version);
        assertEquals("1: jbang: HOME is not set; set it, or set JBANG_DIR to a folder where JBang may keep its files", launch(Map.of()));
    }

    /** Exit code and output of {@code ./jbang version} without HOME. */
    private String launch(Map<String, String> environment) throws IOException, InterruptedException {
        return run(environment, Path.of("jbang").toAbsolutePath().toString(), "version");
    }

    /** In the folder of this test: a JVM that crashes leaves a report there. */
    private String run(Map<String, String> environment, String... command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).directory(folder.toFile());
        builder.environment().keySet().removeAll(List.of("HOME", "JBANG_DIR", "JAVA_TOOL_OPTIONS"));
        builder.environment().putAll(environment);
        Process process = builder.start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        return process.waitFor() + ": " + said;
    }

    /** The Dockerfile gives its flags to all JVMs of the image by its runtime. */
    @ConcurrentTest
    void flags_of_java_tool_options_win_over_those_of_the_runtime() throws IOException, InterruptedException {
        Path runtime = folder.resolve("jre");
        Path jlink = Path.of(System.getProperty("java.home"), "bin", "jlink");
        String linked = Files.exists(jlink) ? run(Map.of(), jlink.toString(), "--output", runtime.toString(), "--add-modules", "java.base",
                "--add-options= -Xmx24m") : "no jlink";
        assumeTrue(linked.startsWith("0: "), linked);
        String java = runtime.resolve("bin/java").toString();
        assertTrue(run(Map.of(), java, "-XX:+PrintFlagsFinal", "-version").matches("(?s)0: .*MaxHeapSize *= 25165824 .*"));
        assertTrue(run(Map.of("JAVA_TOOL_OPTIONS", "-Xmx40m"), java, "-XX:+PrintFlagsFinal", "-version")
                .matches("(?s)0: .*MaxHeapSize *= 41943040 .*"));
    }

    /** Each of them needs a module that the image does not have. */
    @ConcurrentTest
    void agents_do_not_start_in_the_image() throws IOException, InterruptedException {
        Matcher modules = Pattern.compile("--add-modules (\\S+)").matcher(Files.readString(Path.of("Dockerfile")));
        assertTrue(modules.find());
        for (String agent : List.of("-Da=b", "-javaagent:agent.jar", "-Dcom.sun.management.jmxremote.port=0", "-XX:StartFlightRecording")) {
            String outcome = run(Map.of("JAVA_TOOL_OPTIONS", agent), Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--limit-modules", modules.group(1), "-version");
            assertEquals(agent.equals("-Da=b"), outcome.startsWith("0: "), agent + ": " + outcome);
        }
    }
}
