(import klorpy [simulate-chor])
(defchor pong [A B] (-> A B))
(simulate-chor pong 5)
