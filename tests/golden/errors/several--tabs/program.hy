(defchor greet [A B] (-> A A B) [first	last]
	(let [full	(A (+ first	last))	other	(B (len full))]
		(A->B	full)	(B->A	full)))
