import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/** What has to be known with figures: when, where and with what they were measured. */
final class Circumstances {

    private Circumstances() {
    }

    /** Name and value of each, as they are now. */
    static Map<String, Object> now(RealServer server, Timings timings) {
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        Map<String, Object> now = new LinkedHashMap<>();
        now.put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        now.put("processors", processor() + ", " + system.getAvailableProcessors() + " of them");
        now.put("memory", "%.0f GiB".formatted(system.getTotalMemorySize() / Math.pow(2, 30)));
        now.put("system", system.getName() + " " + system.getVersion());
        now.put("load at the beginning", load());
        now.put("server", server.title());
        now.put("java", System.getProperty("java.vendor") + " " + Runtime.version());
        now.put("version", "leader-labeler " + LeaderLabeler.VERSION);
        now.put("settings of the JVMs", String.join(" ", Candidate.SETTINGS));
        now.put("timings", timings.toString());
        return now;
    }

    /** The system's load average of the last minute. */
    static String load() {
        return "%.2f".formatted(ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage());
    }

    /** The model, as Linux tells it. */
    private static String processor() {
        try {
            return Files.readAllLines(Path.of("/proc/cpuinfo")).stream().filter(line -> line.startsWith("model name"))
                    .map(line -> line.replaceFirst("[^:]*: *", "")).findFirst().orElse(System.getProperty("os.arch"));
        } catch (IOException notLinux) {
            return System.getProperty("os.arch");
        }
    }
}
