import io.kubernetes.client.openapi.ApiClient;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A sidecar as a thread of this JVM: the whole program but its command line and its HTTP endpoint. Its log is not shown, unless the system
 * property {@code org.slf4j.simpleLogger.log.leader-labeler} says so.
 */
final class InProcessSidecar {

    private static final String LOG_LEVEL = "org.slf4j.simpleLogger.log.leader-labeler";

    static {
        if (System.getProperty(LOG_LEVEL) == null) {
            System.setProperty(LOG_LEVEL, "off");
        }
        System.setProperty("org.slf4j.simpleLogger.log.io.kubernetes.client.extended.event", "off"); // as the program's main does
    }

    private final Sidecar sidecar;
    private final CompletableFuture<Integer> end = new CompletableFuture<>();

    private InProcessSidecar(Config config, ApiClient client) {
        sidecar = new Sidecar(config, kubernetes(config, client), status -> { });
    }

    /** What a sidecar sends its requests by, with a client that the test has made. */
    static Kubernetes kubernetes(Config config, ApiClient client) {
        return new Kubernetes(config, client, client.getBasePath(), "given");
    }

    /** Starts it; the client is its own from now on. */
    static InProcessSidecar start(Config config, ApiClient client) {
        InProcessSidecar started = new InProcessSidecar(config, client);
        Thread.ofPlatform().daemon().name("sidecar of " + config.pod()).start(started::run);
        return started;
    }

    private void run() {
        try {
            end.complete(sidecar.run());
        } catch (Throwable broken) {
            end.completeExceptionally(broken);
        }
    }

    /** Asks it to stop, as SIGTERM does. */
    void stop() {
        sidecar.stop();
    }

    boolean hasEnded() {
        return end.isDone();
    }

    /** Its exit code, what broke it, or that it runs. */
    String fate() {
        return switch (end.state()) {
            case RUNNING -> "runs";
            case SUCCESS -> "exit code " + end.resultNow();
            case FAILED, CANCELLED -> "broke: " + end.exceptionNow() + " at " + List.of(end.exceptionNow().getStackTrace());
        };
    }

    /** Whether its probe would have it killed. */
    boolean isStuck() {
        return sidecar.isStuck();
    }

    /** Whether it tells its application that it leads. */
    boolean claimsToLead() {
        Status status = sidecar.status();
        return status != null && status.isLeading(sidecar.now());
    }

    /** Waits for its end and returns the exit code; fails if it does not end within the limit, or broke. */
    int exitCode(Duration limit) {
        try {
            return end.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("the sidecar did not end within " + limit.toMillis() + " ms");
        } catch (ExecutionException e) {
            throw new AssertionError("the sidecar broke: " + e.getCause(), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new AssertionError(e);
        }
    }
}
