///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS org.junit:junit-bom:6.1.3@pom
//DEPS org.junit.jupiter:junit-jupiter
//DEPS org.junit.platform:junit-platform-console
//SOURCES ../../LeaderLabeler.java Cluster.java Workload.java ClusterTest.java InjectedTest.java Traffic.java Labels.java
//SOURCES ../support/Folders.java ../support/Json.java ../support/RawWatch.java ../support/Wait.java

import org.junit.platform.console.ConsoleLauncher;

/**
 * Runs the image and deploy/ on a real cluster: {@code ./jbang cluster-tests}. About 20 minutes; what it needs is told by {@link Cluster}.
 * Where that is not there, every test is reported as skipped, with the reason.
 */
public final class ClusterTests {

    private ClusterTests() {
    }

    /** Ends the JVM with the launcher's exit code: 1 if a test failed. */
    public static void main(String... arguments) {
        ConsoleLauncher.main("execute", "--select-class=ClusterTest", "--select-class=InjectedTest", "--fail-if-no-tests",
                 "--disable-banner", "--disable-ansi-colors",
                "--details=tree", "--config=junit.jupiter.execution.timeout.testable.method.default=20 m");
    }
}
