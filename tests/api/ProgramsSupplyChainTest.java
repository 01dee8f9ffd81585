import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The libraries of the programs that {@link SupplyChainTest}, which looks at those of its own run, does not see. */
@Patient.WithProcesses
class ProgramsSupplyChainTest {

    private static final List<String> PROGRAMS =
            List.of("tests/Demo.java", "tests/Benchmark.java", "tests/cluster/ClusterTests.java", "tests/image/Train.java");
    /** Whatever is not in JBang's cache yet is fetched. */
    private static final Duration LIMIT = Duration.ofMinutes(5);

    private final Path folder = Folders.temporary("supply-chain");

    /** One after the other: they share JBang's cache. */
    @Test
    void every_library_has_the_content_that_was_checked_in() throws IOException, InterruptedException, NoSuchAlgorithmException {
        for (String script : PROGRAMS) {
            List<Path> libraries = libraries(script);
            assertEquals(Map.of(), PinnedLibraries.differing(libraries), script);
            assertTrue(libraries.size() >= 30, script + ": this looked at " + libraries);
        }
    }

    private List<Path> libraries(String script) throws IOException, InterruptedException {
        Path out = folder.resolve("classpath");
        Process jbang = new ProcessBuilder("./jbang", "info", "classpath", script).redirectOutput(out.toFile())
                .redirectError(folder.resolve("log").toFile()).start();
        try {
            assertTrue(jbang.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS), () -> "JBang still resolves " + script);
            assertEquals(0, jbang.exitValue(), Files.readString(folder.resolve("log")));
        } finally {
            jbang.destroyForcibly();
        }
        return Arrays.stream(Files.readString(out).strip().split(File.pathSeparator)).map(Path::of)
                .filter(entry -> entry.toString().matches(".*/repository/.*\\.jar")).toList();
    }
}
