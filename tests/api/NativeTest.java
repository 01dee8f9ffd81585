import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** {@code ./jbang native} and {@code ./jbang native-tests}, with and without a native-image, which is a script here. */
class NativeTest {

    private static final int NO_BUILDER = 64;

    private final Path folder = Folders.temporary("native");

    @AfterEach
    void delete() {
        Folders.delete(folder);
    }

    @Test
    void without_native_image_one_line_names_the_remedy_and_the_tests_are_skipped_by_name() {
        Program.Outcome build = Program.run(without(), List.of("./jbang", "--quiet", "native"));

        assertEquals(NO_BUILDER, build.code(), build.errors());
        assertEquals("native: cannot build an executable: no native-image in $GRAALVM_HOME/bin or on the PATH; install GraalVM 25 from"
                + " https://www.graalvm.org/downloads, or run docker build --target native .\n", build.errors());

        Program.Outcome tests = Program.run(without(),
                SidecarCommand.java(List.of(), System.getProperty("java.class.path"), "AllTests", "--native"));

        assertEquals(0, tests.code(), tests.output());
        assertTrue(tests.output().startsWith("SKIPPED native-tests: there is no native-image"), tests.output());
        assertTrue(tests.output().endsWith("0 passed, 0 failed, 1 skipped\n"), tests.output());
    }

    @Test
    void native_image_gets_the_metadata_the_libraries_of_the_image_and_the_program() throws IOException {
        assumeTrue(Runtime.version().feature() >= 24, "the Class-File API needs Java 24, which GraalVM has");
        Path builder = Folders.write(Files.createDirectory(folder.resolve("bin")), "native-image", "#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n");
        assertTrue(builder.toFile().setExecutable(true));
        Files.createSymbolicLink(builder.resolveSibling("java"), Path.of(System.getProperty("java.home"), "bin", "java"));

        Program.Outcome build = Program.run(Map.of("GRAALVM_HOME", folder.toString()), List.of("./jbang", "--quiet", "native"));

        assertEquals(7, build.code(), build.errors());
        List<String> arguments = build.output().lines().dropWhile(line -> !line.equals("-cp")).toList();
        assertEquals(List.of("-cp", "-o", "build/native/leader-labeler", "LeaderLabeler"),
                arguments.stream().filter(argument -> !argument.contains(":")).toList());
        List<String> classPath = List.of(arguments.get(1).split(":"));
        assertEquals("tests/image/native", classPath.getFirst());
        assertTrue(classPath.stream().anyMatch(jar -> jar.contains("picocli-")), arguments.get(1));
        assertTrue(classPath.stream().noneMatch(jar -> jar.matches(".*(protobuf-java|client-java-api)-\\d.*")), arguments.get(1));
        assertTrue(classPath.stream().anyMatch(jar -> jar.endsWith("models.jar")), arguments.get(1));
    }

    @Test
    void the_executable_has_the_heap_of_the_image_and_ends_like_its_jvm_without_memory() throws IOException {
        String image = Files.readString(Path.of("Dockerfile"));
        String settings = Files.readString(
                Path.of("tests", "image", "native", "META-INF", "native-image", "leader-labeler", "native-image.properties"));

        for (Map.Entry<String, String> flag : Map.of("-Xmx24m", "-R:MaxHeapSize=24m", "-Xmn2m", "-R:MaxNewSize=2m",
                "-XX:+ExitOnOutOfMemoryError", "-R:+ExitOnOutOfMemoryError").entrySet()) {
            assertTrue(image.contains(" " + flag.getKey() + " "), flag.getKey());
            assertTrue(settings.contains(" " + flag.getValue() + " "), flag.getValue());
        }
    }

    /** The PATH of this JVM, without folders that have a native-image. */
    private static Map<String, String> without() {
        return Map.of("GRAALVM_HOME", "/nowhere", "PATH", Arrays.stream(System.getenv("PATH").split(":"))
                .filter(each -> !Files.exists(Path.of(each, "native-image"))).collect(Collectors.joining(":")));
    }
}
