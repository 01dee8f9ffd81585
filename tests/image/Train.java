///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS com.squareup.okhttp3:mockwebserver3:5.1.0
//DEPS com.squareup.okhttp3:okhttp-tls:5.1.0
//SOURCES ../../LeaderLabeler.java SecureFront.java
//SOURCES ../support/memory/*.java ../support/Folders.java ../support/Json.java ../support/Kubeconfigs.java ../support/SidecarCommand.java
//SOURCES ../support/TestServer.java ../support/Wait.java

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Pattern;

/**
 * Trains the image's AOT cache: {@code Train CACHE JAVA [FLAG]... LeaderLabeler}, where the command is the one that the image will run.
 * Without arguments it plays the same with the command of {@code LEADER_LABELER_COMMAND}, which shows that a native executable lacks nothing.
 *
 * <p>A sidecar in a pod of its own, as a cluster would start it (service account, TLS, HTTP/2), follows, takes over, leads, heals, answers
 * probes, sees an outage, hands over and ends; whatever classes that needs are in the cache then. What it does not see works all the
 * same, only slower the first time.
 */
public final class Train {

    private static final Path SERVICE_ACCOUNT = Path.of("/var/run/secrets/kubernetes.io/serviceaccount");
    private static final String NAMESPACE = "default";
    private static final String ELECTION = "training";
    private static final String LEADERSHIP = ELECTION + "/is-leader";
    private static final String PARTICIPATION = ELECTION + "/participant";
    private static final String TRAINED = "training-1";
    private static final Pattern MISSING_CLASS = Pattern.compile(
            "NoClassDefFound|ClassNotFound|NoSuch(Method|Field)|Exception in thread|UnsatisfiedLink|MissingReflection");
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final List<String> PATHS = List.of("/", "/leader", "/healthz", "/readyz", "/metrics", "/none");

    private static final Logger OKHTTP_LOG = Logger.getLogger("okhttp3.OkHttpClient");

    private final InMemoryServer server = new InMemoryServer();
    private final SecureFront front = new SecureFront(server.client().getBasePath());
    private final Optional<String> cache;
    private final List<String> command;
    private final Map<String, Process> sidecars = new LinkedHashMap<>();
    private final Map<String, Path> logs = new LinkedHashMap<>();

    private Train(Optional<String> cache, List<String> command) throws IOException {
        this.cache = cache;
        this.command = command;
    }

    /** Ends the JVM with 0 if everything happened and the cache was written, with 1 if not. */
    public static void main(String... arguments) throws Exception {
        Optional<List<String>> given = SidecarCommand.given();
        if (given.isPresent() ? arguments.length > 0 : arguments.length < 3) {
            System.err.println("usage: Train CACHE JAVA [FLAG]... LeaderLabeler, or Train with " + SidecarCommand.VARIABLE + " set");
            System.exit(2);
        }
        Train train = given.isPresent() ? new Train(Optional.empty(), given.get())
                : new Train(Optional.of(arguments[0]), List.of(arguments).subList(1, arguments.length));
        // What it has to say is that a sidecar has gone.
        OKHTTP_LOG.setLevel(Level.OFF);
        int exitCode = 0;
        try {
            train.prepare();
            train.playInPod();
        } catch (AssertionError failed) {
            System.err.println("training failed: " + failed.getMessage());
            exitCode = 1;
        } finally {
            train.sidecars.values().forEach(Process::destroyForcibly);
            train.printLogs();
        }
        System.exit(exitCode);
    }

    /** What a kubelet mounts into each container. The client looks nowhere else, so this must be a machine for building. */
    private void prepare() throws IOException {
        if (Files.exists(SERVICE_ACCOUNT)) {
            throw new AssertionError(SERVICE_ACCOUNT + " exists already: this is to run in an image build, not in a pod");
        }
        Files.createDirectories(SERVICE_ACCOUNT);
        Files.writeString(SERVICE_ACCOUNT.resolve("namespace"), NAMESPACE);
        Files.writeString(SERVICE_ACCOUNT.resolve("token"), "training");
        Files.writeString(SERVICE_ACCOUNT.resolve("ca.crt"), front.authority());
    }

    /** Takes away afterwards what {@link #prepare} has mounted: whatever runs here later is in no pod. */
    private void playInPod() throws IOException, InterruptedException {
        try {
            play();
        } finally {
            Folders.delete(SERVICE_ACCOUNT);
        }
    }

    private void play() throws IOException, InterruptedException {
        start("training-0", "--http-address=off");
        await("training-0 leads", () -> isLabelled("training-0", "true"));
        start(TRAINED, "--http-address=:4040", "--role-file=" + Files.createTempDirectory("training").resolve("role"));
        await(TRAINED + " follows", () -> isLabelled(TRAINED, "false"));
        askEverything();
        stop("training-0");
        await(TRAINED + " leads", () -> isLabelled(TRAINED, "true"));
        loseLease();
        start("training-2", "--http-address=off");
        await("training-2 follows", () -> isLabelled("training-2", "false"));
        heal("training-2", "true");
        heal(TRAINED, "false");
        await("an Event says that " + TRAINED + " leads", () -> hasEvent(TRAINED + " became leader"));
        outage();
        askEverything();
        stop(TRAINED);
        await("training-2 leads", () -> isLabelled("training-2", "true"));
        stop("training-2");
        if (cache.isPresent() && !Files.exists(Path.of(cache.get()))) {
            throw new AssertionError("the JVM has not written " + cache.get());
        }
        checkLogs();
    }

    /** A class that is missing in the image shows here, by its name: no other error is called so. */
    private void checkLogs() throws IOException {
        for (Path log : logs.values()) {
            Files.readString(log).lines().filter(line -> MISSING_CLASS.matcher(line).find()).findFirst()
                    .ifPresent(line -> {
                        throw new AssertionError("a sidecar says: " + line);
                    });
        }
    }

    private void printLogs() throws IOException {
        for (Map.Entry<String, Path> log : logs.entrySet()) {
            System.out.println("--- log of " + log.getKey() + "\n" + Files.readString(log.getValue()));
        }
    }

    private void start(String pod, String... flags) throws IOException {
        server.withStore(objects -> {
            objects.create(Resource.PODS, NAMESPACE, Map.of("metadata", Map.of("name", pod, "labels", Map.of("app", "web")),
                    "spec", Map.of("containers", List.of(Map.of("name", "app", "image", "app")))));
            return objects.patchStatus(Resource.PODS, NAMESPACE, pod, Map.of("status", Map.of("phase", "Running",
                    "conditions", List.of(Map.of("type", "Ready", "status", "True")))));
        });
        List<String> full = new ArrayList<>(command);
        if (pod.equals(TRAINED) && cache.isPresent()) {
            full.addAll(1, List.of("-XX:AOTCacheOutput=" + cache.get(), "-Xlog:aot=error"));
        }
        full.addAll(List.of("--election-name=" + ELECTION, "--retry-period=500ms"));
        full.addAll(List.of(flags));
        Path log = Files.createTempFile(pod, ".log");
        ProcessBuilder builder = new ProcessBuilder(full).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().keySet().removeAll(List.of("KUBECONFIG", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
        builder.environment().putAll(Map.of("POD_NAME", pod, "POD_NAMESPACE", NAMESPACE, "KUBERNETES_SERVICE_HOST", "127.0.0.1",
                "KUBERNETES_SERVICE_PORT", String.valueOf(front.port()), "KUBERNETES_SERVICE_PORT_HTTPS", String.valueOf(front.port())));
        sidecars.put(pod, builder.start());
        logs.put(pod, log);
    }

    private void stop(String pod) throws InterruptedException {
        Process sidecar = sidecars.get(pod);
        sidecar.destroy();
        if (!sidecar.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS) || sidecar.exitValue() != 0) {
            throw new AssertionError("the sidecar of " + pod + " did not end as it should: " + sidecar);
        }
    }

    /** Somebody else edits a label; {@link #TRAINED} leads and puts it right. */
    private void heal(String pod, String wrong) {
        server.withStore(objects -> objects.patch(Resource.PODS, NAMESPACE, pod,
                Map.of("metadata", Map.of("labels", Map.of(LEADERSHIP, wrong)))));
        await("the label of " + pod + " is right again", () -> isLabelled(pod, wrong.equals("true") ? "false" : "true"));
    }

    /** Somebody deletes the Lease; there is nobody else to make a new one than {@link #TRAINED}. */
    private void loseLease() {
        server.withStore(objects -> objects.delete(Resource.LEASES, NAMESPACE, ELECTION, Store.Deletion.DEFAULT));
        await("there is a Lease again", () -> !leaseVersion().isEmpty());
    }

    /** The API server goes away for a moment, shorter than the lease. */
    private void outage() {
        server.stopServer();
        server.startServer();
        String version = leaseVersion();
        await("the Lease is renewed after an outage", () -> !version.equals(leaseVersion()));
    }

    private void askEverything() throws IOException {
        for (String path : PATHS) {
            HttpURLConnection connection = (HttpURLConnection) URI.create("http://127.0.0.1:4040" + path).toURL().openConnection();
            System.out.println("GET " + path + ": " + connection.getResponseCode());
            connection.disconnect();
        }
    }

    private boolean isLabelled(String pod, String value) {
        return server.withStore(objects -> objects.get(Resource.PODS, NAMESPACE, pod) instanceof Store.Ok ok
                && value.equals(Json.text(ok.object(), "metadata", "labels", LEADERSHIP))
                && "true".equals(Json.text(ok.object(), "metadata", "labels", PARTICIPATION)));
    }

    private boolean hasEvent(String message) {
        return server.withStore(objects -> objects.list(Store.Selection.all(Resource.EVENTS, NAMESPACE)).items().stream()
                .anyMatch(event -> message.equals(Json.text(event, "message"))));
    }

    private String leaseVersion() {
        return server.withStore(objects -> objects.get(Resource.LEASES, NAMESPACE, ELECTION) instanceof Store.Ok ok
                ? Json.text(ok.object(), "metadata", "resourceVersion") : "");
    }

    private static void await(String what, BooleanSupplier condition) {
        Wait.until(what, LIMIT, condition);
    }
}
