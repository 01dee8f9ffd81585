import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One sidecar as a process of its own: {@link LeaderLabeler} by its {@link SidecarCommand}, or another program that takes its place, with the
 * environment that a pod would give it. Its log goes to a file. Every signal is sent by the process's handle.
 */
final class SidecarProcess implements AutoCloseable {

    /**
     * A class of this JVM's class path that takes the program's flags, and ends by itself where its pod does not exist.
     *
     * @param settings flags of the JVM that runs it
     */
    record Program(String mainClass, List<String> settings) {
        boolean isOurs() {
            return mainClass.equals(OURS.mainClass);
        }
    }

    /** Starts the sidecar of a pod and returns at once. */
    @FunctionalInterface
    interface Launcher {
        SidecarProcess start(Path kubeconfig, String namespace, String pod, String... arguments);
    }

    /** The words of a command. */
    @FunctionalInterface
    interface CommandLine {
        List<String> of(Path kubeconfig, String namespace, String pod);
    }

    private static final Path FOLDER = Folders.temporary("sidecars");
    private static final AtomicInteger COUNT = new AtomicInteger();
    /** Many of these start on few cores: compile little, collect simply, stay small. */
    private static final List<String> QUICK = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx48m", "-Xss512k", "-Xlog:disable",
            "-Dsun.misc.unsafe.memory.access=allow");
    private static final String CLASS_PATH = System.getProperty("java.class.path");
    private static final Program OURS = new Program("LeaderLabeler", QUICK);
    private static final Duration TRAINING_LIMIT = Duration.ofSeconds(60);

    private static final Set<Program> TRAINED = new HashSet<>();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> Folders.delete(FOLDER)));
    }

    private final Process process;
    private final Path log;
    private final CompletableFuture<Long> ended;

    private SidecarProcess(List<String> command, Map<String, String> environment) {
        this(command, environment, Path.of(""));
    }

    private SidecarProcess(List<String> command, Map<String, String> environment, Path workingFolder) {
        log = FOLDER.resolve("sidecar-" + COUNT.incrementAndGet() + ".log");
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().keySet().removeAll(List.of("KUBECONFIG", "POD_NAME", "POD_NAMESPACE", "POD_UID", "JAVA_TOOL_OPTIONS"));
        // Otherwise the sidecar might find a kubeconfig that matters to somebody.
        builder.environment().put("HOME", FOLDER.toString());
        builder.environment().putAll(environment);
        builder.directory(workingFolder.toAbsolutePath().toFile());
        try {
            process = builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        ended = timeOfExit(process);
    }

    private static List<String> command(Program program, String archiveFlag, String classPath, List<String> arguments) {
        List<String> settings = new ArrayList<>(program.settings());
        settings.add(archiveFlag);
        if (program.isOurs()) {
            return SidecarCommand.of(settings, classPath, arguments);
        }
        List<String> command = SidecarCommand.java(settings, classPath, program.mainClass());
        command.addAll(arguments);
        return command;
    }

    private static Map<String, String> environment(Path kubeconfig, String namespace, String pod) {
        return Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", pod, "POD_NAMESPACE", namespace);
    }

    /** Starts the sidecar of a pod; returns at once, which is about a second before the sidecar does anything. */
    static SidecarProcess start(Path kubeconfig, String namespace, String pod, String... arguments) {
        return of(OURS).start(kubeconfig, namespace, pod, arguments);
    }

    /** The same with just these of the variables that a sidecar reads; HOME is a folder without kubeconfig unless it is among them. */
    static SidecarProcess start(Map<String, String> environment, String... arguments) {
        return start(OURS, environment, arguments);
    }

    /** The same in a folder, and with another class path. */
    static SidecarProcess start(Path workingFolder, String classPath, Map<String, String> environment, String... arguments) {
        return new SidecarProcess(command(OURS, "-Xshare:auto", classPath, List.of(arguments)), environment, workingFolder);
    }

    /** The same as {@link #start(Map, String...)} on a JVM with these flags and this class path. */
    static SidecarProcess start(List<String> settings, String classPath, Map<String, String> environment, String... arguments) {
        return new SidecarProcess(SidecarCommand.of(settings, classPath, List.of(arguments)), environment);
    }

    private static SidecarProcess start(Program program, Map<String, String> environment, String... arguments) {
        Path archive = archive(program);
        String archiveFlag = Files.exists(archive) ? "-XX:SharedArchiveFile=" + archive : "-Xshare:auto";
        return new SidecarProcess(command(program, archiveFlag, CLASS_PATH, List.of(arguments)), environment);
    }

    /** Starts another program in the same way as this project's. */
    static Launcher of(Program program) {
        return (kubeconfig, namespace, pod, arguments) -> {
            train(program, kubeconfig);
            return start(program, environment(kubeconfig, namespace, pod), arguments);
        };
    }

    /** Starts any program: the command that {@code line} makes of a kubeconfig, namespace and pod. The arguments are not passed on. */
    static Launcher ofCommand(CommandLine line) {
        return (kubeconfig, namespace, pod, arguments) ->
                new SidecarProcess(line.of(kubeconfig, namespace, pod), environment(kubeconfig, namespace, pod));
    }

    private static Path archive(Program program) {
        return FOLDER.resolve(program.mainClass() + "-" + Integer.toHexString(program.settings().hashCode()) + ".jsa");
    }

    /**
     * Classes that were loaded and verified once are mapped by the JVMs that follow, which saves them a fifth of their start. The archive
     * is written at the end of a sidecar whose pod does not exist, and not by the sidecars under test: that would prolong their exit. Where
     * it cannot be written they do without.
     */
    static void train(Path kubeconfig) {
        train(OURS, kubeconfig);
    }

    /** The same for another program. */
    static synchronized void train(Program program, Path kubeconfig) {
        if (!(program.isOurs() && SidecarCommand.given().isPresent()) && TRAINED.add(program)) {
            List<String> arguments = List.of("--election-name=training", "--pod-name=none", "--namespace=default", "--http-address=off");
            List<String> command = command(program, "-XX:ArchiveClassesAtExit=" + archive(program), CLASS_PATH, arguments);
            try (SidecarProcess writer = new SidecarProcess(command, Map.of("KUBECONFIG", kubeconfig.toString()))) {
                writer.exitCode(TRAINING_LIMIT);
            } catch (AssertionError tooSlow) { // and killed by now, perhaps in the middle of the file
                archive(program).toFile().delete();
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

    /** Noted by a thread of its own: {@link Process#onExit} waits for a thread of the common pool, which other tests keep busy. */
    private static CompletableFuture<Long> timeOfExit(Process process) {
        CompletableFuture<Long> time = new CompletableFuture<>();
        Thread.ofPlatform().daemon().name("exit of " + process.pid()).start(() -> {
            try {
                process.waitFor();
                time.complete(System.nanoTime());
            } catch (InterruptedException interrupted) {
                time.completeExceptionally(interrupted);
            }
        });
        return time;
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
