import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How the programs of a control plane are chosen, and what kine is told in place of etcd; with programs that only print. */
class ControlPlaneBinariesTest {
    private static final Path SCRIPTS = Path.of("tests", "control-plane");

    @TempDir
    private Path folder;

    @Test
    void a_folder_of_programs_can_be_named() throws Exception {
        for (String name : List.of("etcd", "kube-apiserver", "kubectl", "kube-controller-manager")) {
            program(name, "true");
        }
        ControlPlaneBinaries binaries = ControlPlaneBinaries.find(folder.toString());
        assertEquals(folder.resolve("etcd"), binaries.program("etcd"));
        assertEquals(folder.resolve("kube-controller-manager"), binaries.controllerManager());
    }

    @Test
    void a_folder_that_lacks_a_program_is_refused_with_what_else_could_be_named() throws IOException {
        program("etcd", "true");
        program("kubectl", "true");
        var refused = assertThrows(ControlPlaneBinaries.Unavailable.class, () -> ControlPlaneBinaries.find(folder.toString()));
        assertEquals("real.server: cannot use " + folder + ": it is neither a version such as 1.30.14, nor kine, nor a folder with etcd, "
            + "kube-apiserver, kubectl", refused.getMessage());
    }

    @Test
    void the_controllers_are_never_of_another_version_than_the_server() throws IOException {
        program("etcd", "true");
        program("kubectl", "true");
        program("kube-apiserver", "echo 'no version'");
        var refused = assertThrows(ControlPlaneBinaries.Unavailable.class,
            () -> ControlPlaneBinaries.find(folder.toString()).controllerManager());
        assertEquals("kube-apiserver --version: cannot tell a version from: no version", refused.getMessage());
    }

    @Test
    void kine_listens_where_etcd_would_and_keeps_its_database_in_the_folder_of_etcd() throws Exception {
        Files.copy(SCRIPTS.resolve("kine/etcd.sh"), folder.resolve("etcd"));
        program("kine", "printf '%s\\n' \"$@\"");
        Path data = folder.resolve("data");
        Finished etcd = run("sh", folder.resolve("etcd").toString(), "-data-dir", data.toString(), "-wal-dir", "wal",
            "--listen-client-urls", "http://localhost:2379", "--advertise-client-urls", "http://localhost:2379",
            "--initial-cluster", "default=http://localhost:2380", "--listen-peer-urls", "http://localhost:2380");
        assertEquals(new Finished(0, List.of("--listen-address", "tcp://127.0.0.1:2379", "--metrics-bind-address", "0", "--endpoint",
            "sqlite://" + data + "/state.db?_journal=WAL&cache=shared&_busy_timeout=30000")), etcd);
        assertTrue(Files.isDirectory(data), "SQLite does not create folders");
    }

    @Test
    void the_build_script_refuses_what_it_does_not_know() throws Exception {
        assertEquals(new Finished(2, List.of("build.sh: --versoin: cannot be understood: there is --version X.Y.Z and --kine")),
            run("sh", SCRIPTS.resolve("build.sh").toString(), "--versoin", "1.30.14"));
        assertEquals(new Finished(2, List.of("build.sh: --version: cannot tell which: there is no value; give one like 1.34.4")),
            run("sh", SCRIPTS.resolve("build.sh").toString(), "--version"));
    }

    private void program(String name, String script) throws IOException {
        Path file = Files.writeString(folder.resolve(name), "#!/bin/sh\n" + script + "\n");
        assertTrue(file.toFile().setExecutable(true));
    }

    /** How a command ended and what it printed. */
    private record Finished(int code, List<String> lines) { }

    private static Finished run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        List<String> lines = process.inputReader().lines().toList();
        return new Finished(process.waitFor(), lines);
    }
}
