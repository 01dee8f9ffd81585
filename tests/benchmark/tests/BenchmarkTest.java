import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The benchmark compiles, and says in one line what it cannot make sense of. It measures only when somebody asks for it. */
class BenchmarkTest {

    private static final int USAGE = 2;

    @Test
    void bad_usage_is_one_line() throws IOException, InterruptedException {
        assertEquals("benchmark: --rounds: \"none\" must be a whole number from 1 to 99999", complaint("--rounds=none"));
    }

    private static String complaint(String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of("./jbang", "--quiet", "tests/Benchmark.java"));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try {
            String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(USAGE, process.waitFor(), said);
            return said;
        } finally {
            process.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
        }
    }
}
