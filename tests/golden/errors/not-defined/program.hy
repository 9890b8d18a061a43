(import klorpy [simulate-chor])
(defchor pong [A B] (-> A B))
(defchor ping [A B] (-> A B) [n]
  (pong [A B] n))
(simulate-chor ping 5)
