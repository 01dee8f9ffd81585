import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Programs that run to their end. */
final class Program {

    private Program() {
    }

    /** How a program ended, and what it wrote to standard output and to standard error. */
    record Outcome(int code, String output, String errors) {}

    /** Runs a program in the working directory, without input, and returns when it has ended. */
    static Outcome run(String... command) {
        return run(Map.of(), List.of(command));
    }

    /** The same with these variables besides those of this JVM. */
    static Outcome run(Map<String, String> environment, List<String> command) {
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().putAll(environment);
        try {
            Process process = builder.start();
            process.getOutputStream().close();
            CompletableFuture<String> errors = CompletableFuture.supplyAsync(() -> process.errorReader().lines()
                .reduce("", (all, line) -> all + line + "\n"));
            String output = new String(process.getInputStream().readAllBytes());
            return new Outcome(process.waitFor(), output, errors.join());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Where the PATH has it, if it does. */
    static Optional<Path> onPath(String name) {
        return Arrays.stream(System.getenv("PATH").split(":")).map(folder -> Path.of(folder, name)).filter(Files::isExecutable).findFirst();
    }
}
