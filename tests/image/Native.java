///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//SOURCES ../../LeaderLabeler.java ../support/Folders.java ../support/ImageLibraries.java

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Builds the sidecar as a native executable, {@code build/native/leader-labeler}, by GraalVM's {@code native-image}: {@code ./jbang native}
 * from the project's folder. The libraries are those of the image; settings and metadata are in tests/image/native.
 *
 * <p>Exit code 0, that of GraalVM if the build failed, or {@link #NO_BUILDER} after one line that says where it was looked for.
 */
public final class Native {

    /** Exit code where there is no native-image; it never ends with this one itself. */
    static final int NO_BUILDER = 64;
    private static final Path LEAN_JSON = Path.of("tests", "image", "LeanJson.java");
    private static final Path EXECUTABLE = Path.of("build", "native", "leader-labeler");

    private Native() {
    }

    /** Builds, and ends the JVM with the exit code. */
    public static void main(String... arguments) throws IOException, InterruptedException {
        Optional<Path> builder = builder();
        if (builder.isEmpty()) {
            System.err.println("native: cannot build an executable: no native-image in $GRAALVM_HOME/bin or on the PATH;"
                    + " install GraalVM 25 from https://www.graalvm.org/downloads, or run docker build --target native .");
            System.exit(NO_BUILDER);
        }
        Path libraries = Folders.temporary("native-libraries");
        int code;
        try {
            Files.createDirectories(EXECUTABLE.getParent());
            String classPath = Path.of("tests", "image", "native") + File.pathSeparator + ImageLibraries.classPath(libraries);
            Path models = ImageLibraries.models(classPath);
            Path lean = Files.copy(models, libraries.resolve("models.jar"));
            code = run(builder.get().resolveSibling("java").toString(), LEAN_JSON.toString(), lean.toString());
            if (code == 0) {
                code = run(builder.get().toString(), "-cp", classPath.replace(models.toString(), lean.toString()), "-o",
                        EXECUTABLE.toString(), "LeaderLabeler");
            }
        } finally {
            Folders.delete(libraries);
        }
        System.exit(code);
    }

    private static int run(String... command) throws IOException, InterruptedException {
        return new ProcessBuilder(command).inheritIO().start().waitFor();
    }

    private static Optional<Path> builder() {
        Stream<String> home = Stream.ofNullable(System.getenv("GRAALVM_HOME")).map(folder -> folder + "/bin");
        return Stream.concat(home, Arrays.stream(System.getenv("PATH").split(File.pathSeparator)))
                .map(folder -> Path.of(folder, "native-image")).filter(Files::isExecutable).findFirst();
    }
}
