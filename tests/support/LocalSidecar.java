import io.kubernetes.client.openapi.ApiClient;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import okhttp3.Interceptor;
import okhttp3.Response;
import okhttp3.ResponseBody;
import okio.Buffer;
import okio.BufferedSource;
import okio.ForwardingSource;
import okio.Okio;

/**
 * A sidecar in this JVM: the program's own {@link Sidecar} and {@link Kubernetes}, without command line, process and signals. All its
 * requests are noted in a {@link Trace}, and a test may put something between it and the API server.
 */
final class LocalSidecar implements AutoCloseable {

    static {
        // As the program's main does, since many of these in one JVM would tell the same; before the first logger is made.
        System.setProperty("org.slf4j.simpleLogger.log.leader-labeler", "warn");
        System.setProperty("org.slf4j.simpleLogger.log.io.kubernetes.client.extended.event", "off");
    }

    private static final CountDownLatch OPEN = new CountDownLatch(0);

    private final String pod;
    private final Trace trace;
    private final Kubernetes kubernetes;
    private final Sidecar sidecar;
    private final CompletableFuture<Integer> ended = new CompletableFuture<>();
    private volatile Interceptor between = chain -> chain.proceed(chain.request());
    private volatile CountDownLatch podWatch = OPEN;
    private volatile boolean crashed;

    /** Starts it at once. */
    LocalSidecar(TestServer server, Config config, Trace trace) {
        this.pod = config.pod();
        this.trace = trace;
        ApiClient client = server.client();
        client.setHttpClient(client.getHttpClient().newBuilder().addInterceptor(this::exchange).build());
        this.kubernetes = new Kubernetes(config, client);
        this.sidecar = new Sidecar(config, kubernetes, status -> { });
        Thread.ofVirtual().name("sidecar of " + pod).start(this::run);
    }

    private void run() {
        try {
            ended.complete(sidecar.run());
        } catch (RuntimeException | Error e) {
            ended.completeExceptionally(e);
        }
    }

    private Response exchange(Interceptor.Chain chain) throws IOException {
        if (crashed) {
            throw new IOException("this sidecar has crashed");
        }
        Trace.Entry entry = trace.send(pod, chain.request());
        Response response = between.intercept(chain);
        trace.answer(entry, response.code());
        return entry.what.equals("WATCH pods") ? response.newBuilder().body(held(response.body())).build() : response;
    }

    /** A body of which nothing passes while the watch of pods is held. */
    private ResponseBody held(ResponseBody body) {
        BufferedSource source = Okio.buffer(new ForwardingSource(body.source()) {
            @Override
            public long read(Buffer sink, long byteCount) throws IOException {
                long count = super.read(sink, byteCount);
                try {
                    podWatch.await();
                } catch (InterruptedException closing) {
                    throw new IOException(closing);
                }
                return count;
            }
        });
        return ResponseBody.create(source, body.contentType(), body.contentLength());
    }

    // --- What a test does to it --------------------------------------------------------------------------------------

    /** Asks it to stop, as SIGTERM does. */
    void term() {
        sidecar.stop();
    }

    /** Lets nothing of it reach the API server from now on, as after SIGKILL; what is under way may still be executed. */
    void crash() {
        crashed = true;
        kubernetes.close();
        sidecar.stop();
    }

    /** From now on its requests go through this. */
    void between(Interceptor interceptor) {
        between = interceptor;
    }

    /** Its watch of pods delivers nothing until {@link #releasePodWatch}; that of the Lease is not held. */
    void holdPodWatch() {
        podWatch = new CountDownLatch(1);
    }

    /** What has been held of the watch of pods arrives. */
    void releasePodWatch() {
        podWatch.countDown();
    }

    /** Who leads, as this sidecar tells it; empty if nobody does. */
    String leader() {
        Status status = sidecar.status();
        return status == null ? "" : status.leader();
    }

    boolean isAlive() {
        return !ended.isDone();
    }

    /** Whether it ended by itself by an exception, which it never should. */
    boolean isBroken() {
        return ended.isCompletedExceptionally();
    }

    /** Waits for its end and returns the exit code. */
    int exitCode(Duration limit) {
        try {
            return ended.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("the sidecar of " + pod + " did not end within " + limit.toMillis() + " ms");
        } catch (Exception e) {
            throw new AssertionError("the sidecar of " + pod + " broke", e);
        }
    }

    /** The same as a crash. */
    @Override
    public void close() {
        releasePodWatch();
        crash();
    }
}
