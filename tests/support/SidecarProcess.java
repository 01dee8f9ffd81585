import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One sidecar as a process of its own: {@link LeaderLabeler} on the Java runtime and class path of this JVM, with the environment that a
 * pod would give it. Its log goes to a file. Every signal is sent by the process's handle.
 */
final class SidecarProcess implements AutoCloseable {

    private static final Path FOLDER = Folders.temporary("sidecars");
    private static final Path ARCHIVE = FOLDER.resolve("classes.jsa");
    private static final AtomicInteger COUNT = new AtomicInteger();
    /** Many of these start on few cores: compile little, collect simply, stay small. */
    private static final List<String> QUICK = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx48m", "-Xss512k", "-Xlog:disable",
            "-Dsun.misc.unsafe.memory.access=allow");
    private static final Duration TRAINING_LIMIT = Duration.ofSeconds(60);

    private static boolean trained;

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> Folders.delete(FOLDER)));
    }

    private final Process process;
    private final Path log;
    private final CompletableFuture<Long> ended;

    private SidecarProcess(String archiveFlag, Map<String, String> environment, List<String> arguments) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(QUICK);
        // Without -Duser.home the sidecar might find a kubeconfig that matters to somebody.
        command.addAll(List.of(archiveFlag, "-Duser.home=" + FOLDER, "-cp", System.getProperty("java.class.path"), "LeaderLabeler"));
        command.addAll(arguments);
        log = FOLDER.resolve("sidecar-" + COUNT.incrementAndGet() + ".log");
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().keySet().removeAll(List.of("KUBECONFIG", "POD_NAME", "POD_NAMESPACE", "JAVA_TOOL_OPTIONS"));
        builder.environment().putAll(environment);
        try {
            process = builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        ended = process.onExit().thenApply(p -> System.nanoTime());
    }

    /** Starts the sidecar of a pod; returns at once, which is about a second before the sidecar does anything. */
    static SidecarProcess start(Path kubeconfig, String namespace, String pod, String... arguments) {
        train(kubeconfig);
        return start(Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", pod, "POD_NAMESPACE", namespace), arguments);
    }

    /** The same with just these of the three variables that a sidecar reads. */
    static SidecarProcess start(Map<String, String> environment, String... arguments) {
        String archiveFlag = Files.exists(ARCHIVE) ? "-XX:SharedArchiveFile=" + ARCHIVE : "-Xshare:auto";
        return new SidecarProcess(archiveFlag, environment, List.of(arguments));
    }

    /**
     * Classes that were loaded and verified once are mapped by the JVMs that follow, which saves them a fifth of their start. The archive
     * is written at the end of a sidecar whose pod does not exist, and not by the sidecars under test: that would prolong their exit. Where
     * it cannot be written they do without.
     */
    static synchronized void train(Path kubeconfig) {
        if (!trained) {
            trained = true;
            List<String> arguments = List.of("--election-name=training", "--pod-name=none", "--namespace=default", "--http-address=off");
            Map<String, String> environment = Map.of("KUBECONFIG", kubeconfig.toString());
            try (SidecarProcess writer = new SidecarProcess("-XX:ArchiveClassesAtExit=" + ARCHIVE, environment, arguments)) {
                writer.exitCode(TRAINING_LIMIT);
            }
        }
    }

    /** Asks it to stop (SIGTERM), as a kubelet does. */
    void term() {
        process.destroy();
    }

    /** Crashes it (SIGKILL) and returns when it is gone. */
    void kill() {
        process.destroyForcibly();
        ended.join();
    }

    /** Freezes it (SIGSTOP) until {@link #thaw}. */
    void freeze() {
        ServerProcess.signal(process.toHandle(), "STOP");
    }

    /** Continues it (SIGCONT). */
    void thaw() {
        ServerProcess.signal(process.toHandle(), "CONT");
    }

    /** Whether the process still runs, or is frozen. */
    boolean isAlive() {
        return process.isAlive();
    }

    /** Waits for its end and returns the exit code; fails with the log if it does not end within the limit. */
    int exitCode(Duration limit) {
        try {
            ended.get(limit.toNanos(), TimeUnit.NANOSECONDS);
            return process.exitValue();
        } catch (TimeoutException e) {
            throw new AssertionError("the sidecar did not end within " + limit.toMillis() + " ms; its log:\n" + log());
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    /** When it ended, by {@link System#nanoTime}; it must have. */
    long endedAt() {
        return ended.join();
    }

    /** All that it has written to standard output and standard error. */
    String log() {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits until the log contains this text; fails with the log if it does not within the limit, or if the process ends before. */
    void awaitLog(String text, Duration limit) {
        try {
            Wait.until("the log says \"" + text + "\"", limit, () -> {
                boolean alive = isAlive(); // asked first: what a dying process wrote last is there when it is dead
                if (log().contains(text)) {
                    return true;
                }
                if (!alive) {
                    throw new AssertionError("the sidecar ended and did not say \"" + text + "\"");
                }
                return false;
            });
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + "; its log:\n" + log(), e);
        }
    }

    /** Kills it if it still runs. */
    @Override
    public void close() {
        kill();
    }

    /** The process id, for people who want to send it signals. */
    long pid() {
        return process.pid();
    }
}
