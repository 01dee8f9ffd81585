import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What a stranger can tie up at a sidecar's HTTP address is bounded; each limit with what is still allowed beside it. */
@Tag(SidecarCommand.TAG)
@Patient.WithProcesses
class HttpLimitsTest {

    private static final byte[] GET = Endpoint.request("GET", "/healthz");
    /** The limits are 2 s for a request and 5 s for an idle connection, looked at once a second; the rest is for a busy machine. */
    private static final Duration CLOSED_AFTER = Duration.ofSeconds(12);
    private static final int CONNECTIONS = 300;

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);

    private static Endpoint endpoint;
    private static CompletableFuture<Duration> halfARequest;
    private static CompletableFuture<Duration> halfABody;
    private static CompletableFuture<Duration> dripping;
    private static CompletableFuture<Duration> neverReading;
    private static CompletableFuture<Duration> silent;

    /** The connections that wait to be closed do so all at the same time, and while other tests run. */
    @BeforeAll
    static void start() {
        endpoint = GROUP.elect(1).endpoint();
        byte[] post = Endpoint.request("POST", "/healthz", "Content-Length: 1000");
        halfARequest = closedAfter(socket -> socket.getOutputStream().write(GET, 0, GET.length - 2));
        halfABody = closedAfter(socket -> socket.getOutputStream().write(post));
        dripping = closedAfter(HttpLimitsTest::drip);
        neverReading = closedAfter(HttpLimitsTest::askAndNeverRead);
        silent = closedAfter(socket -> { });
    }

    private interface Client {
        void use(Socket socket) throws IOException;
    }

    /** How long after the client did its part the server closed the connection. */
    private static CompletableFuture<Duration> closedAfter(Client client) {
        CompletableFuture<Duration> closed = new CompletableFuture<>();
        Thread.ofPlatform().daemon().start(() -> {
            long begin = System.nanoTime();
            try (Socket socket = endpoint.connect()) {
                client.use(socket);
                awaitEnd(socket);
            } catch (IOException reset) {
                // it is closed
            }
            closed.complete(Duration.ofNanos(System.nanoTime() - begin));
        });
        return closed;
    }

    private static void awaitEnd(Socket socket) {
        try {
            socket.getInputStream().readAllBytes();
        } catch (IOException reset) {
            // that is an end, too
        }
    }

    /** Sends a header's bytes one by one, until that fails because the server has closed the connection. */
    private static void drip(Socket socket) throws IOException {
        socket.getOutputStream().write(GET, 0, GET.length - 2);
        socket.getOutputStream().write("X: ".getBytes(StandardCharsets.US_ASCII));
        while (!isClosed(socket)) {
            socket.getOutputStream().write('x');
        }
    }

    /** Sends requests until that fails because the server has closed the connection. */
    private static void askAndNeverRead(Socket socket) throws IOException {
        byte[] metrics = Endpoint.request("GET", "/metrics");
        while (true) {
            socket.getOutputStream().write(metrics);
        }
    }

    @AfterAll
    static void nothing_is_left_of_all_this() {
        assertEquals(200, endpoint.probe("/healthz"));
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    @Test
    void a_request_that_does_not_end_is_cut_off() {
        assertClosed(halfARequest, Duration.ofSeconds(2));
    }

    @Test
    void a_request_that_drips_is_cut_off() {
        assertClosed(dripping, Duration.ofSeconds(2));
    }

    @Test
    void who_never_fetches_an_answer_gets_no_second_one() {
        assertClosed(neverReading, Duration.ZERO);
    }

    @Test
    void a_body_that_does_not_come_is_not_awaited() {
        assertClosed(halfABody, Duration.ZERO);
    }

    @Test
    void a_silent_connection_is_closed() {
        assertClosed(silent, Duration.ofSeconds(2));
    }

    private static void assertClosed(CompletableFuture<Duration> connection, Duration notBefore) {
        Wait.until("the server closes the connection", CLOSED_AFTER, connection::isDone);
        Duration took = connection.join();
        assertTrue(took.compareTo(notBefore) >= 0, "closed after " + took);
        assertTrue(took.compareTo(CLOSED_AFTER) < 0, "closed after " + took);
    }

    // --- Size --------------------------------------------------------------------------------------------------------

    @Test
    void headers_of_more_than_8_kib_are_not_read() {
        assertTrue(ask("X: " + "x".repeat(7_000)).startsWith("HTTP/1.1 200"));
        assertRefused("X: " + "x".repeat(9_000));
        assertRefused(IntStream.range(0, 45).mapToObj(i -> "X" + i + ": " + "x".repeat(200)).toArray(String[]::new));
    }

    @Test
    void a_path_of_more_than_8_kib_is_not_read() {
        assertEquals(404, endpoint.get("/" + "x".repeat(7_000)).code());
        assertFalse(exchange(Endpoint.request("GET", "/" + "x".repeat(9_000), "Connection: close")).startsWith("HTTP/1.1 404"));
    }

    @Test
    void more_than_50_headers_are_not_read() {
        assertTrue(ask(IntStream.range(0, 45).mapToObj(i -> "X" + i + ": x").toArray(String[]::new)).startsWith("HTTP/1.1 200"));
        assertRefused(IntStream.range(0, 55).mapToObj(i -> "X" + i + ": x").toArray(String[]::new));
    }

    private static void assertRefused(String... headers) {
        String answer = ask(headers);
        assertFalse(answer.startsWith("HTTP/1.1 200"), answer);
    }

    private static String ask(String... headers) {
        List<String> all = new ArrayList<>(Arrays.asList(headers));
        all.add("Connection: close");
        return exchange(Endpoint.request("GET", "/healthz", all.toArray(String[]::new)));
    }

    /** What the server answers; empty if it closes the connection instead. */
    private static String exchange(byte[] request) {
        try {
            return endpoint.exchange(request, Group.SOON);
        } catch (IOException reset) {
            return "";
        }
    }

    // --- Number ------------------------------------------------------------------------------------------------------

    /**
     * One that is closed soon after it was opened was one too many: silent ones are closed only after two seconds. On a busy machine it may
     * take a second try to be that fast.
     */
    @Test
    void there_is_an_end_to_connections() throws Exception {
        int refused = 0;
        for (int i = 0; i < 4 && refused == 0; i++) {
            refused = refusedOf(CONNECTIONS + 200);
            Wait.until("then it answers again", Group.SOON, () -> endpoint.probe("/healthz") == 200);
        }
        assertTrue(refused > 0, "all were accepted");
    }

    private static int refusedOf(int connections) throws Exception {
        Semaphore connecting = new Semaphore(16); // more would overflow the listener's queue, and wait
        try (ExecutorService strangers = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Duration>> lives = new ArrayList<>();
            for (int i = 0; i < connections; i++) {
                lives.add(strangers.submit(() -> life(connecting)));
            }
            int refused = 0;
            for (Future<Duration> life : lives) {
                refused += life.get().toMillis() < 1500 ? 1 : 0;
            }
            assertTrue(connections - refused >= CONNECTIONS - 10, refused + " of " + connections + " were refused");
            return refused;
        }
    }

    /** How long a connection stays open on which nothing is sent, within limits. */
    private static Duration life(Semaphore connecting) throws IOException, InterruptedException {
        connecting.acquire();
        Socket socket;
        try {
            socket = endpoint.connect();
        } finally {
            connecting.release();
        }
        long begin = System.nanoTime();
        try (socket) {
            socket.setSoTimeout(4_000); // a connection that overflowed the queue may take much longer
            awaitEnd(socket);
            return Duration.ofNanos(System.nanoTime() - begin);
        }
    }

    /** Reads what there is, and says whether the end follows at once. */
    private static boolean isClosed(Socket socket) {
        try {
            socket.setSoTimeout(20);
            socket.getInputStream().readAllBytes();
            return true;
        } catch (SocketTimeoutException open) {
            return false;
        } catch (IOException reset) {
            return true;
        }
    }

    /** What a stranger never reads fills the kernel's buffers, so there is only one answer of it. */
    @Test
    void a_connection_is_answered_once() throws IOException {
        try (Socket socket = endpoint.connect()) {
            for (int i = 0; i < 3; i++) {
                socket.getOutputStream().write(GET);
            }
            String answers = new String(readAll(socket), StandardCharsets.US_ASCII);
            assertEquals(1, answers.split("HTTP/1.1 200", -1).length - 1, answers);
        }
    }

    /** Until the end, which may be a reset because not all that was sent was read. */
    private static byte[] readAll(Socket socket) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] part = new byte[1024];
        try {
            for (int n = socket.getInputStream().read(part); n >= 0; n = socket.getInputStream().read(part)) {
                all.write(part, 0, n);
            }
        } catch (SocketException reset) {
            assertTrue(all.size() > 0, reset.toString());
        }
        return all.toByteArray();
    }
}
