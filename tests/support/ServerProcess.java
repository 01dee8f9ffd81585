import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A child process of this JVM, with which it ends, and whose output goes to a file: etcd, kube-apiserver, kube-controller-manager. */
final class ServerProcess implements AutoCloseable {
    private final Process process;
    private final Path log;

    /** Starts the command; its output is appended to the log file. */
    ServerProcess(List<String> command, Path log) {
        this.log = log;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile())).start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly)); // also while the server starts
    }

    /** The process, for signals and to see whether it lives. */
    ProcessHandle handle() {
        return process.toHandle();
    }

    /** Sends a signal, for example {@code STOP}, which Java itself cannot, to a process that this JVM started: by the shell's own kill. */
    static void signal(ProcessHandle process, String name) {
        try {
            int code = new ProcessBuilder("sh", "-c", "kill -" + name + " " + process.pid()).inheritIO().start().waitFor();
            if (code != 0) {
                throw new IllegalStateException("kill -" + name + " " + process.pid() + " ended with " + code);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** The last lines of the output, for a message about what went wrong. */
    String lastOutput() {
        try {
            List<String> lines = Files.readAllLines(log);
            return String.join("\n", lines.subList(Math.max(0, lines.size() - 15), lines.size()));
        } catch (IOException e) {
            return "(no output: " + e + ")";
        }
    }

    /** Kills the process and returns when it is gone. A graceful end would keep clients' watches open for a while. */
    @Override
    public void close() {
        process.destroyForcibly();
        process.onExit().join();
    }
}
