///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS org.junit:junit-bom:6.1.3@pom
//DEPS org.junit.jupiter:junit-jupiter
//DEPS org.junit.platform:junit-platform-launcher
//DEPS io.fabric8:kube-api-test:7.6.1
// The version that the program is shipped with; kube-api-test would raise it.
//DEPS com.squareup.okhttp3:okhttp-jvm:5.1.0
//SOURCES ../LeaderLabeler.java support/*.java support/*/*.java elector/*.java api/*.java
//SOURCES benchmark/Samples.java benchmark/Timeline.java benchmark/tests/*.java

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClasspathRoots;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs the project's tests: {@code ./jbang all-tests [--real-required] [--only-real] [--native] [--server SERVER] [CLASS | CLASS#METHOD]...}
 *
 * <p>Prints a line per test class, failures in full, skipped tests with the reason, and last {@code N passed, N failed}
 * ({@code , N skipped}). The exit code is 1 if a test failed or none ran. With {@code --real-required}, {@code CI=true} or
 * {@code LEADER_LABELER_REAL=required} a test that is skipped for want of a real API server is a failure. {@code --only-real} leaves out
 * the tests that need none. {@code --native} builds a native executable and runs all tests with it that start sidecar processes. SERVER is
 * a version of Kubernetes such as 1.30.14, {@code kine} (SQLite in place of etcd), or a folder with the programs of a control plane.
 */
public final class AllTests {

    /** The exit code of tests/image/Native.java. */
    private static final int NO_NATIVE_IMAGE = 64;

    private AllTests() {
    }

    /** Runs the tests and ends the JVM: threads that a test has left behind do not keep it. */
    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.log.io.fabric8.kubeapitest", "warn"); // says at every start that it makes keys
        List<String> filters = new ArrayList<>(List.of(arguments));
        boolean realRequired = filters.remove("--real-required") || "true".equals(System.getenv("CI"))
            || "required".equals(System.getenv("LEADER_LABELER_REAL"));
        Set<String> tags = new HashSet<>(filters.remove("--only-real") ? Set.of(Real.TAG) : Set.of());
        if (!chooseServer(filters)) {
            System.exit(2);
        }
        if (filters.remove("--native")) {
            if (!buildExecutable()) {
                System.exit(0);
            }
            tags.addAll(Set.of(Real.TAG, SidecarCommand.TAG));
        }
        boolean foreign = System.getenv("KUBECONFIG_TEST") != null; // what is skipped there must not be done to a cluster in use
        Report report = new Report(realRequired && !foreign);
        Launcher launcher = LauncherFactory.create();
        PostDiscoveryFilter chosen = chosen(filters, tags);
        PostDiscoveryFilter impatient = TagFilter.excludeTags(Patient.TAG, Patient.WithProcesses.TAG);
        launcher.execute(request(chosen, impatient, "same_thread", 8), report);
        launcher.execute(request(chosen, TagFilter.includeTags(Patient.WithProcesses.TAG), "concurrent", 8), report);
        // Last, when this JVM has compiled what they need: at the same time they would otherwise be busy, and not patient.
        launcher.execute(request(chosen, TagFilter.includeTags(Patient.TAG), "concurrent", 6), report);
        System.exit(report.close());
    }

    /** Takes {@code --server SERVER} out of the arguments; false, with a message, if the server is missing or cannot be chosen. */
    private static boolean chooseServer(List<String> arguments) {
        int option = arguments.indexOf("--server");
        if (option < 0) {
            return true;
        }
        if (option + 1 == arguments.size() || System.getenv("KUBECONFIG_TEST") != null) {
            System.err.println(option + 1 == arguments.size()
                ? "--server: cannot choose one: no value; give a version such as 1.30.14, kine, or a folder of programs"
                : "--server: cannot choose one: KUBECONFIG_TEST names a cluster; unset it");
            return false;
        }
        System.setProperty(ControlPlaneBinaries.SERVER, arguments.get(option + 1));
        arguments.subList(option, option + 2).clear();
        return true;
    }

    /** Builds what all sidecar processes shall be; false, with a line, where there is no native-image. A build that fails ends the JVM. */
    private static boolean buildExecutable() throws Exception {
        Process build = new ProcessBuilder("./jbang", "native").inheritIO().start();
        int code = build.waitFor();
        if (code == NO_NATIVE_IMAGE) {
            System.out.println("SKIPPED native-tests: there is no native-image to build the executable\n\n0 passed, 0 failed, 1 skipped");
            return false;
        }
        if (code != 0) {
            System.out.println("FAILED native-tests: the build of the executable\n\n0 passed, 1 failed");
            System.exit(1);
        }
        System.setProperty(SidecarCommand.VARIABLE, "build/native/leader-labeler");
        return true;
    }

    private static PostDiscoveryFilter chosen(List<String> filters, Set<String> tags) {
        return test -> FilterResult.includedIf((filters.isEmpty() || filters.stream().anyMatch(filter -> matches(test, filter)))
            && (tags.isEmpty() || test.getTags().stream().anyMatch(tag -> tags.contains(tag.getName()))));
    }

    /** Within a class, tests run at the same time that say so: see {@link ConcurrentTest}. */
    private static LauncherDiscoveryRequest request(PostDiscoveryFilter chosen, PostDiscoveryFilter kind, String classes, int threads)
            throws Exception {
        Path ownJar = Path.of(AllTests.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        return LauncherDiscoveryRequestBuilder.request()
            .selectors(selectClasspathRoots(Set.of(ownJar)))
            .filters(kind, chosen)
            .configurationParameter("junit.jupiter.execution.timeout.testable.method.default", "10 m")
            .configurationParameter("junit.jupiter.execution.parallel.enabled", "true")
            .configurationParameter("junit.jupiter.execution.parallel.mode.classes.default", classes)
            .configurationParameter("junit.jupiter.execution.parallel.config.executor-service", "worker_thread_pool")
            .configurationParameter("junit.jupiter.execution.parallel.config.strategy", "fixed")
            .configurationParameter("junit.jupiter.execution.parallel.config.fixed.parallelism", Integer.toString(threads))
            .build();
    }

    /** Whether a test is meant by {@code CLASS} (with the classes nested in it) or {@code CLASS#METHOD}. */
    private static boolean matches(TestDescriptor test, String filter) {
        return test.getSource().map(source -> switch (source) {
            case MethodSource method -> {
                String name = method.getClassName();
                yield filter.equals(name + "#" + method.getMethodName()) || filter.equals(name) || name.startsWith(filter + "$");
            }
            case ClassSource type -> filter.equals(type.getClassName());
            default -> false;
        }).orElse(false);
    }

    /** Counts and prints what happens, some of it at the same time. */
    private static final class Report implements TestExecutionListener {
        private final boolean realRequired;
        private final Map<String, Long> started = new HashMap<>();
        private final Map<String, Integer> passedInClass = new LinkedHashMap<>();
        private final List<String> failed = new ArrayList<>();
        private int passed;
        private int skipped;
        private TestPlan plan;

        Report(boolean realRequired) {
            this.realRequired = realRequired;
        }

        @Override
        public void testPlanExecutionStarted(TestPlan testPlan) {
            plan = testPlan;
        }

        @Override
        public synchronized void executionStarted(TestIdentifier test) {
            started.put(test.getUniqueId(), System.nanoTime());
        }

        @Override
        public synchronized void executionSkipped(TestIdentifier test, String reason) {
            List<TestIdentifier> tests = new ArrayList<>(List.of(test));
            tests.addAll(plan.getDescendants(test));
            tests.stream().filter(each -> plan.getChildren(each).isEmpty()).forEach(each -> skip(each, reason));
        }

        @Override
        public synchronized void executionFinished(TestIdentifier test, TestExecutionResult result) {
            Throwable problem = result.getThrowable().orElse(null);
            switch (result.getStatus()) {
                case FAILED -> fail(test, problem);
                case ABORTED -> skip(test, problem == null ? "aborted" : problem.getMessage());
                case SUCCESSFUL -> {
                    if (test.isTest()) {
                        passed++;
                        passedInClass.merge(className(test), 1, Integer::sum);
                    }
                }
            }
            if (isTopClass(test)) {
                Duration time = Duration.ofNanos(System.nanoTime() - started.get(test.getUniqueId()));
                System.out.printf("%7.1f s %5d passed  %s%n", time.toMillis() / 1000.0,
                    passedInClass.getOrDefault(className(test), 0), className(test));
            }
        }

        /** Prints the closing lines and returns the exit code. */
        int close() {
            System.out.println();
            failed.forEach(name -> System.out.println("FAILED " + name));
            System.out.println(passed + " passed, " + failed.size() + " failed" + (skipped > 0 ? ", " + skipped + " skipped" : ""));
            System.out.flush();
            return failed.isEmpty() && passed > 0 ? 0 : 1;
        }

        private void fail(TestIdentifier test, Throwable problem) {
            failed.add(name(test));
            System.out.println("FAILED  " + name(test));
            if (problem != null) {
                problem.printStackTrace(System.out);
            }
        }

        private void skip(TestIdentifier test, String reason) {
            if (realRequired && RealServer.unavailable().isPresent() && test.getTags().stream().anyMatch(tag -> tag.getName().equals(Real.TAG))) {
                failed.add(name(test));
                System.out.println("FAILED  " + name(test) + ": skipped, but a real API server is required: " + reason);
                return;
            }
            skipped++;
            System.out.println("SKIPPED " + name(test) + ": " + reason);
        }

        /** The engine is the root of the plan, the classes are its children. */
        private boolean isTopClass(TestIdentifier test) {
            return plan.getParent(test).filter(parent -> plan.getParent(parent).isEmpty()).isPresent();
        }

        private String className(TestIdentifier test) {
            return isTopClass(test) ? test.getDisplayName() : plan.getParent(test).map(this::className).orElse(test.getDisplayName());
        }

        /** {@code Class > method > invocation}, without the engine. */
        private String name(TestIdentifier test) {
            return isTopClass(test) ? test.getDisplayName()
                : plan.getParent(test).map(parent -> name(parent) + " > " + test.getDisplayName()).orElse(test.getDisplayName());
        }
    }
}
