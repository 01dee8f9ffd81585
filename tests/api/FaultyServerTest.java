import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.openapi.ApiClient;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import java.util.stream.Stream;
import okhttp3.Interceptor;
import okhttp3.MediaType;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.ResponseBody;
import okio.Buffer;
import okio.BufferedSource;
import okio.ForwardingSource;
import okio.Okio;
import okio.Source;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a sidecar does when requests are refused, late, or fail in ways that no API server causes. An API server in memory suffices. */
@Tag(SidecarCommand.TAG)
@Patient.FromTheStart
class FaultyServerTest {

    private InMemoryServer server;
    private HostileGroup group;

    @BeforeEach
    void start() {
        server = new InMemoryServer();
        group = new HostileGroup(server, Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(200));
    }

    @AfterEach
    void end() {
        group.close();
        server.close();
    }

    // --- Refusals ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_retry_after_of_an_hour_stops_watches_for_half_of_renew_deadline() {
        group.start(1);
        group.awaitLeader();
        HttpFault overload = new HttpFault.Refuse(503, 3600);
        FaultPlan plan = group.meet(RequestPhase.WATCH, overload, overload).then(RequestPhase.LIST, overload, overload);

        group.strikeWatches("web-0", new HttpFault.ResetAfter());

        group.await("the watches are refused", () -> plan.isOver(Set.of(RequestPhase.WATCH, RequestPhase.LIST)));
        group.awaitWatches("web-0");
    }

    @ConcurrentTest
    void denials_whose_text_differs_each_time_are_one_line_without_advice() {
        group.group().createPod("web-0");
        FaultProxy proxy = group.startProcess("web-0");
        proxy.faults(request -> request.method().equals("PATCH") ? Optional.of(new HttpFault.Refuse(403, 0)) : Optional.empty());

        group.await("fifty denials", () -> group.log().hits() >= 50);

        String log = group.group().sidecar("web-0").log();
        List<String> warnings = log.lines().filter(line -> line.contains("403") || line.contains("Role")).toList();
        assertEquals(1, warnings.size(), log);
        assertTrue(warnings.getFirst().matches(".* cannot patch pods/web-0: 403 injected fault \\d+: .*; trying again"), log);
        proxy.faults(request -> Optional.empty());
        assertEquals("web-0", group.awaitLeader());
    }

    // --- Late answers ------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_request_without_an_answer_is_reported_by_verb_and_object() {
        group.group().createPod("web-0");
        FaultProxy proxy = group.startProcess("web-0");
        proxy.faults(request -> request.phase() == RequestPhase.CREATE ? Optional.of(new HttpFault.Slow(Duration.ofSeconds(3)))
                : Optional.empty());

        group.group().sidecar("web-0").awaitLog("WARN leader-labeler - cannot create leases.coordination.k8s.io: no answer within 1s; trying"
                + " again\n", Group.START);
        proxy.faults(request -> Optional.empty());
        assertEquals("web-0", group.awaitLeader());
    }

    /** Slower than half of renew-deadline, and not executed if the client gives up. */
    @ConcurrentTest
    void a_slow_admission_webhook_on_pods_keeps_no_sidecar_from_registering_and_leading() {
        group.group().createPod("web-0");
        ApiClient client = server.client();
        client.setHttpClient(client.getHttpClient().newBuilder().addInterceptor(chain -> {
            if (chain.request().method().equals("PATCH")) {
                LockSupport.parkNanos(Duration.ofMillis(1500).toNanos());
            }
            return chain.proceed(chain.request());
        }).build());

        InProcessSidecar sidecar = InProcessSidecar.start(config("web-0"), client);

        assertEquals("web-0", group.awaitLeader());
        sidecar.stop();
        assertEquals(0, sidecar.exitCode(Group.SOON));
    }

    // --- Defects -----------------------------------------------------------------------------------------------------

    /** Fails the first request of each kind, before it is sent; the second one when its answer is read. */
    private record FailingTwice(Supplier<Throwable> defects, Set<String> failed) implements Interceptor {

        @Override
        public okhttp3.Response intercept(Chain chain) throws IOException {
            Request request = chain.request();
            String kind = request.method() + " " + request.url().encodedPath() + " " + request.url().queryParameter("watch");
            if (failed.add(kind)) {
                throw FaultyServerTest.<RuntimeException>unchecked(defects.get());
            }
            okhttp3.Response response = chain.proceed(request);
            return failed.add("second " + kind) ? response.newBuilder().body(new UnreadableBody(defects)).build() : response;
        }
    }

    private static final class UnreadableBody extends ResponseBody {
        private final Supplier<Throwable> defects;

        UnreadableBody(Supplier<Throwable> defects) {
            this.defects = defects;
        }

        @Override
        public MediaType contentType() {
            return null;
        }

        @Override
        public long contentLength() {
            return -1;
        }

        @Override
        public BufferedSource source() {
            throw FaultyServerTest.<RuntimeException>unchecked(defects.get());
        }
    }

    /** Throws whatever it is given; the compiler need not know. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> T unchecked(Throwable defect) throws T {
        throw (T) defect;
    }

    /** Whoever asks what it is about fails as well. */
    private static final class Unspeakable extends Error {
        @Override
        public String getMessage() {
            throw new IllegalStateException("the message, too");
        }
    }

    static Stream<Supplier<Throwable>> every_request_is_answered_whatever_is_thrown() {
        return Stream.of(() -> new IllegalStateException("injected"), StackOverflowError::new, () -> new NoClassDefFoundError("injected"),
                Unspeakable::new);
    }

    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @MethodSource
    void every_request_is_answered_whatever_is_thrown(Supplier<Throwable> defects) {
        group.group().createPod("web-0");
        Set<String> failed = ConcurrentHashMap.newKeySet();
        ApiClient client = server.client();
        client.setHttpClient(client.getHttpClient().newBuilder().addInterceptor(new FailingTwice(defects, failed)).build());

        InProcessSidecar sidecar = InProcessSidecar.start(config("web-0"), client);

        assertEquals("web-0", group.awaitLeader());
        for (String kind : List.of("second GET .*/leases/web null", "POST .*/leases null", "second PUT .*/leases/web null",
                "second GET .*/pods/web-0 null", "second PATCH .*/pods/web-0 null", "second GET .*/pods null", "second GET .*/leases true",
                "second GET .*/pods true")) {
            group.await(kind + " among " + failed, () -> failed.stream().anyMatch(each -> each.matches(kind)));
        }
        group.awaitRenewals("web-0", 2);
        group.group().editLabel("web-0", group.group().keys().leadership(), "false"); // only the watch shows that
        assertEquals("web-0", group.awaitLeader());
        sidecar.stop();
        assertEquals(0, sidecar.exitCode(Group.SOON));
    }

    /** Ends each watch at once, without an event; the watches are restarted at the moment when the first watch of the Lease is closed. */
    private static final class EndingWatches implements Interceptor {
        /** Requests for the Lease: "list" or "watch". */
        final List<String> requests = new CopyOnWriteArrayList<>();
        volatile Runnable whenClosed = () -> { };

        @Override
        public okhttp3.Response intercept(Chain chain) throws IOException {
            boolean isWatch = chain.request().url().queryParameter("watch") != null;
            boolean isOfLease = chain.request().url().encodedPath().endsWith("/leases");
            if (isOfLease) {
                requests.add(isWatch ? "watch" : "list");
            }
            if (!isWatch) {
                return chain.proceed(chain.request());
            }
            Source empty = new ForwardingSource(new Buffer()) {
                @Override
                public void close() throws IOException {
                    super.close();
                    if (isOfLease && requests.size() == 2) {
                        whenClosed.run();
                    }
                }
            };
            return new okhttp3.Response.Builder().request(chain.request()).protocol(Protocol.HTTP_1_1).code(200).message("OK")
                    .body(ResponseBody.create(Okio.buffer(empty), null, -1)).build();
        }
    }

    /** Otherwise a watch would go on from a version of a history that was rewritten. */
    @ConcurrentTest
    void a_restart_of_the_watches_while_none_is_open_lists_anew() {
        EndingWatches watches = new EndingWatches();
        ApiClient client = server.client();
        client.setHttpClient(client.getHttpClient().newBuilder().addInterceptor(watches).build());
        try (Kubernetes kubernetes = InProcessSidecar.kubernetes(config("web-0"), client)) {
            watches.whenClosed = kubernetes::restartWatches;
            kubernetes.watch(event -> { });
            group.await("five requests", () -> watches.requests.size() >= 5);
            assertEquals(List.of("list", "watch", "list", "watch", "watch"), watches.requests.subList(0, 5));
        }
    }

    private Config config(String pod) {
        return TestConfig.config().pod(pod).namespace(group.group().namespace())
                .timing(Group.LEASE, Duration.ofSeconds(2), Duration.ofMillis(200)).build();
    }

    /** A sidecar whose election has a defect. */
    static final class Defective {

        public static void main(String... args) throws IOException {
            Environment environment = Environment.ofProcess();
            Config config = TestConfig.config().pod(environment.podName()).namespace(environment.namespace()).build();
            Runtime.getRuntime().halt(new Sidecar(config, Kubernetes.connect(config, environment), status -> {
                throw new StackOverflowError("a defect");
            }).run());
        }
    }

    @ConcurrentTest
    void a_defect_of_the_election_is_one_line_and_the_end_of_the_process() {
        group.group().createPod("web-0");
        SidecarProcess.Launcher launcher = SidecarProcess.ofCommand((kubeconfig, namespace, pod) -> List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp", System.getProperty("java.class.path"),
                "-Dsun.misc.unsafe.memory.access=allow", Defective.class.getName()));
        try (SidecarProcess sidecar = launcher.start(server.kubeconfig(), group.group().namespace(), "web-0")) {
            assertEquals(1, sidecar.exitCode(Group.START), sidecar.log());
            assertEquals(1, sidecar.log().lines().count(), sidecar.log());
            assertTrue(sidecar.log().contains("defect: java.lang.StackOverflowError: a defect at "), sidecar.log());
        }
    }
}
