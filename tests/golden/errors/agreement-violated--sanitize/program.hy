(import klorpy [simulate-chor])
(defn draw [numbers] (.pop numbers))
(defchor play [A B] (-> A #{A B}) [seed]
  (let [seeds (A=>B seed)]
    (A (.append seeds 5))
    (draw seeds)))
(simulate-chor play [1 2] :sanitize True)
